from .demonstration import Demonstration as Demonstration
from .demonstration import demonstrate as demonstrate
