"""Known archives: one module for the file names of each, and one that finds them."""

from __future__ import annotations

from anymod.preparation.archives.bids import BIDS
from anymod.preparation.archives.brats import BRATS
from anymod.preparation.archives.finding import Archive, Skipped, find_in_archive
from anymod.preparation.archives.ixi import IXI
from anymod.preparation.archives.remind import REMIND
from anymod.preparation.archives.resect_seg import RESECT_SEG
from anymod.preparation.archives.upenn_gbm import UPENN_GBM

ARCHIVES = {archive.name: archive for archive in (REMIND, UPENN_GBM, RESECT_SEG, BRATS, BIDS, IXI)}

__all__ = ["ARCHIVES", "Archive", "Skipped", "find_in_archive"]
