from .dorent2024 import first_foreground as first_foreground
from .folder import (
    CARD as CARD,
    DESCRIPTION as DESCRIPTION,
    REFERENCES as REFERENCES,
    VOXEL_ERRORS as VOXEL_ERRORS,
    WEIGHTS as WEIGHTS,
    Calibration as Calibration,
    ModelDescription as ModelDescription,
    ModelModality as ModelModality,
    bundled_model_for as bundled_model_for,
    copy_model as copy_model,
    find_model as find_model,
    load_model as load_model,
    read_card as read_card,
    save_model as save_model,
)
from .importing import import_weights as import_weights
from .interface import (
    Draws as Draws,
    Encoding as Encoding,
    InputSpec as InputSpec,
    Losses as Losses,
    Network as Network,
    Run as Run,
    Synthesizes as Synthesizes,
)
from .mmhvae import MMHVAE as MMHVAE
from .mmhvae_settings import (
    DORENT2024 as DORENT2024,
    MMHVAEObjective as MMHVAEObjective,
    MMHVAESettings as MMHVAESettings,
)
from .realistic import RealisticSettings as RealisticSettings
from .references import (
    StoredReferences as StoredReferences,
    read_references as read_references,
    write_references as write_references,
)
from .registry import (
    ARCHITECTURES as ARCHITECTURES,
    Model as Model,
    build_model as build_model,
    built as built,
    default_model as default_model,
    newer_name as newer_name,
)
from .voxel_errors import (
    VoxelError as VoxelError,
    VoxelErrors as VoxelErrors,
    read_voxel_errors as read_voxel_errors,
    write_voxel_errors as write_voxel_errors,
)
