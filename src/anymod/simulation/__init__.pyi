from .cohort import simulate_cohort as simulate_cohort
from .patients import Patient as Patient, SimulatedSubject as SimulatedSubject, simulate_subject as simulate_subject
from .settings import SimulationSettings as SimulationSettings
