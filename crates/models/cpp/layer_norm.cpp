// Layer normalisation of rows in bf16, for processors with AVX-512 BF16: libtorch's has vectors of half that width.
// Sums are f32, and what comes out is rounded once.

#if defined(__x86_64__)

#include <immintrin.h>

#include <cmath>
#include <cstdint>

#define NATIVE __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512bf16")))

namespace {

using bf16 = std::uint16_t;

// f32 in a vector.
constexpr int LANES = 16;
// Rows at a time: none waits for the sum of another, and weight and bias are widened once for all of them.
constexpr int ROWS = 4;

NATIVE inline __m512 widened(__m256i values) {
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(values), 16));
}

NATIVE inline __m512 load(const bf16 *place) { return widened(_mm256_loadu_si256((const __m256i *)place)); }

// Zeros where nothing is present, and nothing is read there.
NATIVE inline __m512 load(const bf16 *place, __mmask16 present) {
  return widened(_mm256_maskz_loadu_epi16(present, place));
}

template <int R>
NATIVE void normalise(const bf16 *x, const bf16 *weight, const bf16 *bias, bf16 *out, std::int64_t width, float eps) {
  const std::int64_t whole = width / LANES * LANES;
  const __mmask16 rest = static_cast<__mmask16>((1 << (width - whole)) - 1);
  const float count = static_cast<float>(width);
  __m512 sums[R], means[R], shares[R];
  for (int row = 0; row < R; ++row) sums[row] = load(x + row * width + whole, rest);
  for (std::int64_t at = 0; at < whole; at += LANES)
    for (int row = 0; row < R; ++row) sums[row] = _mm512_add_ps(sums[row], load(x + row * width + at));
  for (int row = 0; row < R; ++row) {
    // Divided, and not multiplied by 1 / width: the mean of equal values has to be that value, since `eps` may be so
    // small that what rounding leaves of their differences would be seen.
    means[row] = _mm512_set1_ps(_mm512_reduce_add_ps(sums[row]) / count);
    const __m512 off = _mm512_maskz_sub_ps(rest, load(x + row * width + whole, rest), means[row]);
    sums[row] = _mm512_mul_ps(off, off);
  }
  for (std::int64_t at = 0; at < whole; at += LANES)
    for (int row = 0; row < R; ++row) {
      const __m512 off = _mm512_sub_ps(load(x + row * width + at), means[row]);
      sums[row] = _mm512_fmadd_ps(off, off, sums[row]);
    }
  for (int row = 0; row < R; ++row)
    shares[row] = _mm512_set1_ps(1.0f / std::sqrt(_mm512_reduce_add_ps(sums[row]) / count + eps));
  for (std::int64_t at = 0; at < whole; at += LANES) {
    const __m512 factor = load(weight + at), addend = load(bias + at);
    for (int row = 0; row < R; ++row) {
      const __m512 even = _mm512_mul_ps(_mm512_sub_ps(load(x + row * width + at), means[row]), shares[row]);
      _mm256_storeu_si256((__m256i *)(out + row * width + at),
                          (__m256i)_mm512_cvtneps_pbh(_mm512_fmadd_ps(even, factor, addend)));
    }
  }
  const __m512 factor = load(weight + whole, rest), addend = load(bias + whole, rest);
  for (int row = 0; row < R; ++row) {
    const __m512 even = _mm512_mul_ps(_mm512_sub_ps(load(x + row * width + whole, rest), means[row]), shares[row]);
    _mm256_mask_storeu_epi16(out + row * width + whole, rest,
                             (__m256i)_mm512_cvtneps_pbh(_mm512_fmadd_ps(even, factor, addend)));
  }
}

} // namespace

extern "C" {

// (x − mean) / √(variance + eps) · weight + bias of each of `rows` rows of `width` values, which lie side by side. The
// processor has to have AVX-512 BF16.
void sightline_layer_norm_bf16(const void *x, const void *weight, const void *bias, void *out, std::int64_t rows,
                               std::int64_t width, float eps) {
  const bf16 *from = static_cast<const bf16 *>(x), *factor = static_cast<const bf16 *>(weight);
  const bf16 *addend = static_cast<const bf16 *>(bias);
  bf16 *to = static_cast<bf16 *>(out);
  std::int64_t row = 0;
  for (; row + ROWS <= rows; row += ROWS)
    normalise<ROWS>(from + row * width, factor, addend, to + row * width, width, eps);
  for (; row < rows; ++row) normalise<1>(from + row * width, factor, addend, to + row * width, width, eps);
}
}

#endif
