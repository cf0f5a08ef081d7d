from .augmentation import AugmentationSettings as AugmentationSettings, augment as augment
from .building import build_cache as build_cache, check_same_slices as check_same_slices, open_cache as open_cache
from .plan import BatchPlan as BatchPlan, check_repeats as check_repeats
from .records import CacheSettings as CacheSettings
from .store import SliceCache as SliceCache
from .transplants import transplant as transplant
