"""The configuration of a run: typed, bounded, described; read from YAML and `--set KEY=VALUE`."""

from pipeline.config.partial import Settings, overrides_of
from pipeline.config.reading import dump_config, known_keys, load_config, parse_overrides, validate_config
from pipeline.config.schema import (
    CLUSTERS,
    MERGEABLE,
    REAL_ARMS,
    Arm,
    Config,
    DataConfig,
    EvaluateConfig,
    FilterConfig,
    GanConfig,
    GanSettings,
    GenerateConfig,
    InspectionConfig,
    MergeConfig,
    ServeConfig,
)
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
    "GanSettings",
    "GenerateConfig",
    "InspectionConfig",
    "MergeConfig",
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
