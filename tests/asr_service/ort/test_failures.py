"""The words of native libraries, as they were met, and what they mean for whoever operates the service."""

import pytest

from asr_service.engines.ort.failures import is_out_of_memory, is_terminated, load_failure
from asr_service.engines.ort.providers import CPU, CUDA, TENSORRT


def test_a_wrong_option_of_a_provider_is_told() -> None:
    told = load_failure("encoder.onnx", TENSORRT, 1, 'Unknown provider option: "trt_fp61_enable".')
    assert told == (
        'ONNX Runtime does not take an option (Unknown provider option: "trt_fp61_enable".); correct --provider-option'
    )


@pytest.mark.parametrize(
    "words",
    [
        "CUDA failure 2: out of memory ; GPU=0 ; hostname=h",
        "/onnxruntime_src/bfc_arena.cc:376 Failed to allocate memory for requested buffer of size 2147483648",
        "[ONNXRuntimeError] : 11 : EP_FAIL : TensorRT EP could not build execution context for fused node: encoder_0",
        "CUBLAS failure 3: CUBLAS_STATUS_ALLOC_FAILED",
    ],
)
def test_a_full_gpu_is_told_as_such(words: str) -> None:
    told = load_failure("encoder.onnx", TENSORRT, 1, words)
    assert told.startswith("GPU 1 has too little free memory for encoder.onnx (")
    assert "--device-id" in told


def test_a_corrupt_engine_is_told_with_the_commands() -> None:
    words = "[ONNXRuntimeError] : 11 : EP_FAIL : TensorRT EP could not deserialize engine from cache: /c/encoder.engine"
    told = load_failure("finished.onnx", TENSORRT, 1, words)
    assert "(TensorRT EP could not deserialize engine from cache: /c/encoder.engine)" in told
    assert "`duoscribe engines check`" in told


@pytest.mark.parametrize(
    "words",
    [
        "/onnxruntime_src/x.cc:456 void Register() Please install TensorRT libraries as mentioned in the requirements",
        "Failed to load library libonnxruntime_providers_cuda.so with error: libcublasLt.so.11: cannot open shared object",
    ],
)
def test_a_missing_library_is_told_with_the_extras(words: str) -> None:
    told = load_failure("encoder.onnx", TENSORRT, 1, words)
    assert told.startswith(
        "ONNX Runtime cannot load TensorrtExecutionProvider: a library of CUDA, cuDNN or TensorRT"
    )
    assert "gpu-cu12 or gpu-cu13" in told


def test_an_encoder_that_tensorrt_takes_in_parts_is_told() -> None:
    words = "User needs to provide all the dynamic shape inputs with associated profiles if they want to explicitly set"
    assert "TensorRT takes only parts of encoder.onnx" in load_failure("encoder.onnx", TENSORRT, 1, words)


def test_what_cannot_be_explained_is_repeated_in_one_line() -> None:
    told = load_failure("encoder.onnx", CUDA, 1, "cuDNN is unwell\nstack trace\n…")
    assert told == (
        "CUDAExecutionProvider cannot load encoder.onnx (cuDNN is unwell); fetch the model again, or choose another --provider"
    )


def test_a_build_that_fails_points_to_tensorrts_own_words() -> None:
    told = load_failure(
        "encoder.onnx", TENSORRT, 1, "TensorRT EP could not build engine for fused node: encoder_0"
    )
    assert told.startswith(
        "TensorRT cannot build an engine of encoder.onnx (TensorRT EP could not build engine"
    )
    assert "its own log line above says why" in told


def test_on_the_cpu_only_the_model_can_be_at_fault() -> None:
    assert load_failure("encoder.onnx", CPU, 0, "") == (
        "ONNX Runtime cannot load encoder.onnx (it does not say why); fetch the model again"
    )


def test_runs_end_for_reasons_that_are_told_apart() -> None:
    assert is_terminated("Error in execution: Exiting due to terminate flag being set to true.")
    assert is_out_of_memory("Failed to allocate memory for requested buffer of size 1024")
    assert not is_terminated("out of memory")
    assert not is_out_of_memory("Invalid rank for input: x")
