from .cohort import (
    CohortOutcome as CohortOutcome,
    CohortRequest as CohortRequest,
    synthesize_cohort as synthesize_cohort,
)
from .drawing import draw_images as draw_images, encoded as encoded
from .files import Inputs as Inputs, synthesize_files as synthesize_files
from .options import SynthesisOptions as SynthesisOptions
from .sharding import merge_synthesized as merge_synthesized, synthesize_shard as synthesize_shard
from .synthesizer import (
    Synthesis as Synthesis,
    Synthesizer as Synthesizer,
    cache_settings as cache_settings,
    slices_at_once as slices_at_once,
)
