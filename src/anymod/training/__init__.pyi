from .recipe import Recipe as Recipe, read_recipe as read_recipe
from .start import train as train
