"""What the protocol tells of the model: its metadata, its configuration as Triton would have it, its statistics."""

from tritonclient.grpc import model_config_pb2, service_pb2

from asr_service.kserve.answers import OUTPUTS
from asr_service.kserve.requests import INPUTS, MOST_ROWS
from asr_service.recognizer import Recognizer
from asr_service.statistics import EngineStatistics, Tally
from asr_service.tensor_names import LENGTHS

VERSION = "1"

_BACKEND = "duoscribe"


def metadata(name: str) -> service_pb2.ModelMetadataResponse:
    tensor = service_pb2.ModelMetadataResponse.TensorMetadata
    return service_pb2.ModelMetadataResponse(
        name=name,
        versions=[VERSION],
        platform=_BACKEND,
        inputs=[
            tensor(name=name, datatype=datatypes[0], shape=[-1, _elements(name)])
            for name, datatypes in INPUTS.items()
        ],
        outputs=[
            tensor(name=name, datatype=output.datatype, shape=[-1, -1 if output.of_words else 1])
            for name, output in OUTPUTS.items()
        ],
    )


def model_config(name: str, recognizer: Recognizer) -> model_config_pb2.ModelConfig:
    """Dimensions are those of one recording. Preferred are batches as large as the scheduler makes them."""
    limits, info = recognizer.limits, recognizer.info
    on_cpu = info.provider == "cpu"
    groups = model_config_pb2.ModelInstanceGroup
    config = model_config_pb2.ModelConfig(
        name=name,
        backend=_BACKEND,
        max_batch_size=MOST_ROWS,
        input=[
            model_config_pb2.ModelInput(
                name=name,
                data_type=f"TYPE_{datatypes[0]}",
                dims=[_elements(name)],
                optional=name == LENGTHS,
            )
            for name, datatypes in INPUTS.items()
        ],
        output=[
            model_config_pb2.ModelOutput(
                name=name,
                data_type="TYPE_STRING" if output.datatype == "BYTES" else f"TYPE_{output.datatype}",
                dims=[-1 if output.of_words else 1],
            )
            for name, output in OUTPUTS.items()
        ],
        dynamic_batching=model_config_pb2.ModelDynamicBatching(
            preferred_batch_size=[limits.max_batch],
            max_queue_delay_microseconds=round(limits.max_delay * 1e6),
        ),
        instance_group=[
            groups(name=name, kind=groups.KIND_CPU if on_cpu else groups.KIND_GPU, count=limits.parallel)
        ],
    )
    for key, value in _facts(recognizer).items():
        config.parameters[key].string_value = value
    return config


def statistics(name: str, counted: EngineStatistics) -> service_pb2.ModelStatistics:
    """Inferences are utterances, executions are batches: those that the engine computed, for whichever callers."""
    sizes = sorted(counted.batches.items())
    return service_pb2.ModelStatistics(
        name=name,
        version=VERSION,
        last_inference=round((counted.last or 0) * 1000),
        inference_count=counted.computed.count,
        execution_count=sum(batches.count for _, batches in sizes),
        inference_stats=service_pb2.InferStatistics(
            success=_duration(counted.answered),
            fail=_duration(counted.failed),
            queue=_duration(counted.waited),
            compute_infer=_duration(counted.computed),
        ),
        batch_stats=[
            service_pb2.InferBatchStatistics(batch_size=size, compute_infer=_duration(batches))
            for size, batches in sizes
        ],
    )


def _facts(recognizer: Recognizer) -> dict[str, str]:
    recognition, info = recognizer.models.infos[0], recognizer.info
    return {
        "model": recognition.name,
        "fingerprint": recognition.fingerprint,
        "engine": info.engine,
        "provider": info.provider,
        "languages": ",".join(info.languages),
        "word_timing": "measured" if info.measures_time else "estimated",
    }


def _elements(name: str) -> int:
    """Of one recording: as many samples as it has, or its length."""
    return 1 if name == LENGTHS else -1


def _duration(tally: Tally) -> service_pb2.StatisticDuration:
    return service_pb2.StatisticDuration(count=tally.count, ns=round(tally.seconds * 1e9))
