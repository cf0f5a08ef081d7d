from .boxes import foreground_box as foreground_box
from .canonical import model_grid as model_grid
from .checks import check_image as check_image
from .fingerprints import content_fingerprint as content_fingerprint
from .foreground import (
    background_of as background_of,
    foreground_doubt as foreground_doubt,
    foreground_of as foreground_of,
    measured_part as measured_part,
    unusual_share as unusual_share,
)
from .grid import Grid as Grid, Volume as Volume
from .intensity import (
    IntensityRange as IntensityRange,
    IntensityRule as IntensityRule,
    anchored_range as anchored_range,
    core_median as core_median,
    innermost_median as innermost_median,
    measure_range as measure_range,
    scale as scale,
    unscale as unscale,
)
from .orientation import orient as orient, orient_grid as orient_grid
from .reading import image_fingerprint as image_fingerprint, read_labels as read_labels, read_volume as read_volume
from .resampling import resample as resample
from .transforms import read_transform as read_transform
from .writing import write_volume as write_volume
