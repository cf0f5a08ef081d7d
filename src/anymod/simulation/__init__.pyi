from .cohort import simulate_cohort as simulate_cohort
from .patients import Patient as Patient
from .patients import SimulatedSubject as SimulatedSubject
from .patients import simulate_subject as simulate_subject
from .settings import SimulationSettings as SimulationSettings
