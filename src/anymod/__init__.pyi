from .cohorts import Cohort as Cohort, read_cohort as read_cohort
from .errors import AnymodError as AnymodError
from .models import load_model as load_model
from .synthesis import Synthesizer as Synthesizer
from .training import train as train
from .volumes import Volume as Volume, read_volume as read_volume, write_volume as write_volume

__version__: str
