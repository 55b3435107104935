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
from pipeline.config.partial import Settings, overrides_of
from pipeline.config.reading import dump_config, known_keys, load_config, parse_overrides, validate_config
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
    "Settings",
    "dump_config",
    "known_keys",
    "load_config",
    "mask_secrets",
    "overrides_of",
    "parse_overrides",
    "validate_config",
]
