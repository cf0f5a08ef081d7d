from .recipe import Recipe as Recipe
from .recipe import read_recipe as read_recipe
from .start import train as train
