"""The configuration of a run: typed, bounded, described; read from YAML and `--set KEY=VALUE`."""

from pipeline.config.models import (
    CLUSTERS,
    MERGEABLE,
    REAL_ARMS,
    Arm,
    Config,
    DataConfig,
    EvaluateConfig,
    FilterConfig,
    GanConfig,
    GenerateConfig,
    MergeConfig,
    QualityConfig,
    ServeConfig,
)
from pipeline.config.reading import dump_config, known_keys, load_config, validate_config
from pipeline.masking import mask_secrets

__all__ = [
    "CLUSTERS",
    "MERGEABLE",
    "REAL_ARMS",
    "Arm",
    "Config",
    "DataConfig",
    "EvaluateConfig",
    "FilterConfig",
    "GanConfig",
    "GenerateConfig",
    "MergeConfig",
    "QualityConfig",
    "ServeConfig",
    "dump_config",
    "known_keys",
    "load_config",
    "mask_secrets",
    "validate_config",
]
