// Attention in bf16, for processors that multiply it natively (AVX-512 BF16). A few queries are taken through all keys
// and values at a time, so that their scores stay in the core's first cache. Sums are f32; what is multiplied is bf16.

#if defined(__x86_64__)

#include <immintrin.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <limits>

#define NATIVE __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512bf16")))

namespace {

using bf16 = std::uint16_t;
// Two bf16 that are multiplied and summed together, the first in the lower half.
using Pair = std::int32_t;

// Values of a head.
constexpr int WIDTH = 64;
constexpr int PAIRS = WIDTH / 2;
// f32 in a vector.
constexpr int LANES = 16;
constexpr int VECTORS = WIDTH / LANES;
// Queries at a time: their sums over four vectors, and what is summed, fill the registers.
constexpr int ROWS = 6;

// One head of one item.
struct Head {
  const bf16 *query;
  std::int64_t query_stride;
  // [PAIRS, columns]: pairs of values of each key.
  Pair *keys;
  // [columns / 2, WIDTH]: each value of pairs of positions.
  Pair *values;
  // Keys, filled up to whole vectors with zeros.
  std::int64_t columns;
  // Which of the last vector are keys.
  __mmask16 last;
  float scale;
  // [ROWS, columns]
  float *scores;
  // [ROWS, columns]
  bf16 *weights;
  bf16 *out;
  std::int64_t out_stride;
};

inline Pair pair_at(const bf16 *place) {
  Pair pair;
  std::memcpy(&pair, place, sizeof pair);
  return pair;
}

NATIVE inline __m512 dot(__m512 sum, __m512i a, __m512i b) { return _mm512_dpbf16_ps(sum, (__m512bh)a, (__m512bh)b); }

// 2ˣ, wrong by at most 7.5e-5 of it: rounding to bf16 changes it by up to 3.9e-3. The polynomial is the one of degree 3
// whose largest relative error over the fractions [0, 1) is least, by Remez' exchange in f64; the error is what its
// coefficients and steps in f32 showed at 20,001 fractions. 2 to −∞ is 0, and NaN stays NaN.
NATIVE inline __m512 power_of_two(__m512 x) {
  const __m512 fraction = _mm512_reduce_ps(x, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
  __m512 y = _mm512_set1_ps(7.80245215e-2f);
  y = _mm512_fmadd_ps(y, fraction, _mm512_set1_ps(2.26067156e-1f));
  y = _mm512_fmadd_ps(y, fraction, _mm512_set1_ps(6.95833564e-1f));
  y = _mm512_fmadd_ps(y, fraction, _mm512_set1_ps(9.99925196e-1f));
  return _mm512_scalef_ps(y, x);
}

// R queries by V vectors of keys.
template <int R, int V>
NATIVE inline void multiply_keys(const bf16 *query, std::int64_t query_stride, const Pair *keys, std::int64_t columns,
                                 float *scores) {
  __m512 sums[R][V];
  for (int row = 0; row < R; ++row)
    for (int vector = 0; vector < V; ++vector) sums[row][vector] = _mm512_setzero_ps();
  for (int pair = 0; pair < PAIRS; ++pair) {
    __m512i key[V];
    for (int vector = 0; vector < V; ++vector) key[vector] = _mm512_loadu_si512(keys + pair * columns + vector * LANES);
    for (int row = 0; row < R; ++row) {
      const __m512i one = _mm512_set1_epi32(pair_at(query + row * query_stride + 2 * pair));
      for (int vector = 0; vector < V; ++vector) sums[row][vector] = dot(sums[row][vector], one, key[vector]);
    }
  }
  for (int row = 0; row < R; ++row)
    for (int vector = 0; vector < V; ++vector)
      _mm512_storeu_ps(scores + row * columns + vector * LANES, sums[row][vector]);
}

// R rows of scores to what values are weighted with, not divided yet by the rows' sums. All rows take each step
// together, so that none waits alone for the largest of a vector's lanes or for their sum.
template <int R> NATIVE inline void weigh(const Head &head, float *sums) {
  const std::int64_t end = head.columns - LANES;
  const __m512 nothing = _mm512_set1_ps(-std::numeric_limits<float>::infinity());
  // 1 / ln 2, for powers of 2.
  const float scale = head.scale * 1.44269504f;
  const __m512 factor = _mm512_set1_ps(scale);
  __m512 less[R];
  for (int row = 0; row < R; ++row) {
    const float *scores = head.scores + row * head.columns;
    __m512 most = _mm512_mask_loadu_ps(nothing, head.last, scores + end);
    for (std::int64_t at = 0; at < end; at += LANES) most = _mm512_max_ps(most, _mm512_loadu_ps(scores + at));
    less[row] = _mm512_set1_ps(-scale * _mm512_reduce_max_ps(most));
  }
  __m512 totals[R];
  for (int row = 0; row < R; ++row) {
    const std::int64_t place = row * head.columns + end;
    const __m512 weight = power_of_two(_mm512_fmadd_ps(_mm512_loadu_ps(head.scores + place), factor, less[row]));
    totals[row] = _mm512_maskz_mov_ps(head.last, weight);
    _mm256_storeu_si256((__m256i *)(head.weights + place), (__m256i)_mm512_cvtneps_pbh(totals[row]));
  }
  for (std::int64_t at = 0; at < end; at += LANES)
    for (int row = 0; row < R; ++row) {
      const std::int64_t place = row * head.columns + at;
      const __m512 weight = power_of_two(_mm512_fmadd_ps(_mm512_loadu_ps(head.scores + place), factor, less[row]));
      totals[row] = _mm512_add_ps(totals[row], weight);
      _mm256_storeu_si256((__m256i *)(head.weights + place), (__m256i)_mm512_cvtneps_pbh(weight));
    }
  for (int row = 0; row < R; ++row) sums[row] = _mm512_reduce_add_ps(totals[row]);
}

// R rows of weights by all values, divided by the rows' sums.
template <int R> NATIVE inline void multiply_values(const Head &head, const float *sums, bf16 *out) {
  __m512 totals[R][VECTORS];
  for (int row = 0; row < R; ++row)
    for (int vector = 0; vector < VECTORS; ++vector) totals[row][vector] = _mm512_setzero_ps();
  const std::int64_t pairs = head.columns / 2;
  for (std::int64_t pair = 0; pair < pairs; ++pair) {
    __m512i value[VECTORS];
    for (int vector = 0; vector < VECTORS; ++vector)
      value[vector] = _mm512_loadu_si512(head.values + pair * WIDTH + vector * LANES);
    for (int row = 0; row < R; ++row) {
      const __m512i one = _mm512_set1_epi32(pair_at(head.weights + row * head.columns + 2 * pair));
      for (int vector = 0; vector < VECTORS; ++vector)
        totals[row][vector] = dot(totals[row][vector], one, value[vector]);
    }
  }
  for (int row = 0; row < R; ++row) {
    const __m512 share = _mm512_set1_ps(1.0f / sums[row]);
    for (int vector = 0; vector < VECTORS; ++vector)
      _mm256_storeu_si256((__m256i *)(out + row * head.out_stride + vector * LANES),
                          (__m256i)_mm512_cvtneps_pbh(_mm512_mul_ps(totals[row][vector], share)));
  }
}

// R queries from `first` on.
template <int R> NATIVE void attend_rows(const Head &head, std::int64_t first) {
  const bf16 *query = head.query + first * head.query_stride;
  std::int64_t at = 0;
  for (; at + VECTORS * LANES <= head.columns; at += VECTORS * LANES)
    multiply_keys<R, VECTORS>(query, head.query_stride, head.keys + at, head.columns, head.scores + at);
  for (; at < head.columns; at += LANES)
    multiply_keys<R, 1>(query, head.query_stride, head.keys + at, head.columns, head.scores + at);
  float sums[R];
  weigh<R>(head, sums);
  multiply_values<R>(head, sums, head.out + first * head.out_stride);
}

NATIVE void attend_head(const Head &head, std::int64_t queries) {
  std::int64_t first = 0;
  for (; first + ROWS <= queries; first += ROWS) attend_rows<ROWS>(head, first);
  switch (queries - first) {
  case 5: return attend_rows<5>(head, first);
  case 4: return attend_rows<4>(head, first);
  case 3: return attend_rows<3>(head, first);
  case 2: return attend_rows<2>(head, first);
  case 1: return attend_rows<1>(head, first);
  default: return;
  }
}

// The rows of a square to its columns.
NATIVE inline void transpose(__m512i (&rows)[LANES]) {
  __m512i half[LANES];
  for (int at = 0; at < LANES; at += 2) {
    half[at] = _mm512_unpacklo_epi32(rows[at], rows[at + 1]);
    half[at + 1] = _mm512_unpackhi_epi32(rows[at], rows[at + 1]);
  }
  // Each fourth column of four rows, from the place's own on.
  for (int at = 0; at < LANES; at += 4) {
    rows[at] = _mm512_unpacklo_epi64(half[at], half[at + 2]);
    rows[at + 1] = _mm512_unpackhi_epi64(half[at], half[at + 2]);
    rows[at + 2] = _mm512_unpacklo_epi64(half[at + 1], half[at + 3]);
    rows[at + 3] = _mm512_unpackhi_epi64(half[at + 1], half[at + 3]);
  }
  for (int at = 0; at < 4; ++at) {
    const __m512i even = _mm512_shuffle_i32x4(rows[at], rows[at + 4], 0x88);
    const __m512i odd = _mm512_shuffle_i32x4(rows[at], rows[at + 4], 0xDD);
    const __m512i late_even = _mm512_shuffle_i32x4(rows[at + 8], rows[at + 12], 0x88);
    const __m512i late_odd = _mm512_shuffle_i32x4(rows[at + 8], rows[at + 12], 0xDD);
    rows[at] = _mm512_shuffle_i32x4(even, late_even, 0x88);
    rows[at + 4] = _mm512_shuffle_i32x4(odd, late_odd, 0x88);
    rows[at + 8] = _mm512_shuffle_i32x4(even, late_even, 0xDD);
    rows[at + 12] = _mm512_shuffle_i32x4(odd, late_odd, 0xDD);
  }
}

// Keys by pairs of their values, so that one vector has a pair of sixteen keys.
NATIVE void pack_keys(const Head &head, const bf16 *key, std::int64_t stride, std::int64_t keys) {
  for (std::int64_t first = 0; first < head.columns; first += LANES)
    for (int pair = 0; pair < PAIRS; pair += LANES) {
      __m512i block[LANES];
      for (int at = 0; at < LANES; ++at) {
        const bool present = first + at < keys;
        block[at] = present ? _mm512_loadu_si512(key + (first + at) * stride + 2 * pair) : _mm512_setzero_si512();
      }
      transpose(block);
      for (int at = 0; at < LANES; ++at) _mm512_storeu_si512(head.keys + (pair + at) * head.columns + first, block[at]);
    }
}

// Values by pairs of positions.
NATIVE void pack_values(const Head &head, const bf16 *value, std::int64_t stride, std::int64_t keys) {
  for (std::int64_t pair = 0; pair < head.columns / 2; ++pair) {
    const bf16 *first = value + 2 * pair * stride;
    for (int at = 0; at < WIDTH; at += LANES) {
      __m512i both = _mm512_setzero_si512();
      if (2 * pair < keys) both = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)(first + at)));
      if (2 * pair + 1 < keys) {
        const __m512i second = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)(first + stride + at)));
        both = _mm512_or_si512(both, _mm512_slli_epi32(second, 16));
      }
      _mm512_storeu_si512(head.values + pair * WIDTH + at, both);
    }
  }
}

} // namespace

extern "C" {

// Sizes, and strides in values: of an item of the batch, and of a position. Values of a position lie side by side.
struct SightlineAttention {
  std::int64_t batch, heads, queries, keys;
  std::int64_t query[2], key[2], value[2];
  float scale;
};

// softmax(query · keyᵀ · scale) · value for each head of 64 values, to `out` as `[batch, queries, heads · 64]`. `scratch`
// is aligned to 64 bytes and has 292 bytes for each key, their number rounded up to a multiple of 16. The processor has to
// have AVX-512 BF16.
void sightline_attend_bf16(const void *query, const void *key, const void *value, void *out, void *scratch,
                           const SightlineAttention *sizes) {
  const std::int64_t columns = (sizes->keys + LANES - 1) / LANES * LANES;
  const std::int64_t over = columns - sizes->keys;
  Head head;
  head.query_stride = sizes->query[1];
  head.columns = columns;
  head.last = static_cast<__mmask16>(0xFFFF >> over);
  head.scale = sizes->scale;
  head.keys = static_cast<Pair *>(scratch);
  head.values = head.keys + PAIRS * columns;
  head.scores = reinterpret_cast<float *>(head.values + columns / 2 * WIDTH);
  head.weights = reinterpret_cast<bf16 *>(head.scores + ROWS * columns);
  head.out_stride = sizes->heads * WIDTH;
  for (std::int64_t item = 0; item < sizes->batch; ++item) {
    for (std::int64_t number = 0; number < sizes->heads; ++number) {
      const std::int64_t from = number * WIDTH;
      head.query = static_cast<const bf16 *>(query) + item * sizes->query[0] + from;
      head.out = static_cast<bf16 *>(out) + item * sizes->queries * head.out_stride + from;
      pack_keys(head, static_cast<const bf16 *>(key) + item * sizes->key[0] + from, sizes->key[1], sizes->keys);
      pack_values(head, static_cast<const bf16 *>(value) + item * sizes->value[0] + from, sizes->value[1], sizes->keys);
      attend_head(head, sizes->queries);
    }
  }
}
}

#endif
