from .demonstration import Demonstration as Demonstration, demonstrate as demonstrate
