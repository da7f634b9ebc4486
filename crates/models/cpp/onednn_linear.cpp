// Operators of libtorch that tch does not pass on. They are called through the dispatcher, by name and with boxed
// arguments, so that a libtorch without them is told at run time and not by the linker.

#include <ATen/core/Tensor.h>
#include <ATen/core/dispatch/Dispatcher.h>

#include <cstdint>
#include <cstring>
#include <exception>
#include <optional>
#include <string>

namespace {

at::Tensor call(const char *name, const char *overload, torch::jit::Stack stack) {
  const auto found = c10::Dispatcher::singleton().findSchema({name, overload});
  TORCH_CHECK(found.has_value(), "this libtorch has no operator ", name, ".", overload);
  found->callBoxed(&stack);
  return stack.at(0).toTensor();
}

// What `body` makes, for the caller to free; or null, and in `error` why, for the caller to free.
template <typename Body> at::Tensor *guarded(char **error, Body body) {
  try {
    return new at::Tensor(body());
  } catch (const c10::Error &thrown) {
    *error = strdup(thrown.what_without_backtrace());
  } catch (const std::exception &thrown) {
    *error = strdup(thrown.what());
  } catch (...) {
    *error = strdup("an exception of an unknown type");
  }
  return nullptr;
}

} // namespace

extern "C" {

// `weight` in the order in which oneDNN's product reads it, best for so many `rows`.
at::Tensor *sightline_onednn_pack(const at::Tensor *weight, std::int64_t rows, char **error) {
  return guarded(error, [&] { return call("mkldnn::_reorder_linear_weight", "", {*weight, rows}); });
}

// function(x · weightᵀ + bias). `bias` may be null; `function` is "none" or the name of one, `algorithm` a variant of it.
at::Tensor *sightline_onednn_linear(const at::Tensor *x, const at::Tensor *weight, const at::Tensor *bias,
                                    const char *function, const char *algorithm, char **error) {
  return guarded(error, [&] {
    const c10::List<std::optional<at::Scalar>> scalars;
    return call("mkldnn::_linear_pointwise", "",
                {*x, *weight, bias == nullptr ? c10::IValue() : c10::IValue(*bias), std::string(function), scalars,
                 std::string(algorithm)});
  });
}

// x · weightᵀ + bias + added. `bias` may be null; `added` is of the result's shape.
at::Tensor *sightline_onednn_linear_onto(const at::Tensor *x, const at::Tensor *added, const at::Tensor *weight,
                                         const at::Tensor *bias, char **error) {
  return guarded(error, [&] {
    return call("mkldnn::_linear_pointwise", "binary",
                {*x, *added, *weight, bias == nullptr ? c10::IValue() : c10::IValue(*bias), std::string("add")});
  });
}
}
