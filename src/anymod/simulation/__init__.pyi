from .cohort import Simulation as Simulation, simulate_cohort as simulate_cohort
from .patients import Patient as Patient, SimulatedSubject as SimulatedSubject, simulate_subject as simulate_subject
from .settings import SimulationSettings as SimulationSettings
from .sharding import merge_simulated as merge_simulated, simulate_shard as simulate_shard
