"""Shapes of an average brain in millimetres.

Axes as in MNI space: x right, y anterior, z superior, the origin near the anterior commissure. Each function returns a signed
distance [mm], negative inside. Positions and sizes were set by eye on atlas sections.
"""

from __future__ import annotations

import numpy as np

from anymod.arrays import Array
from anymod.simulation.fields import Points
from anymod.simulation.shapes import ellipse, ellipsoid, smooth_maximum, smooth_minimum, tube


def cerebrum_hull(points: Points) -> Array:
    """Return the distance to the smooth hull of both hemispheres, with temporal lobes and without fissures."""
    both = points.mirrored()
    # Widest behind the middle and narrower in front, as seen from above.
    x = both.x * (1 + np.float32(0.0013) * np.clip(points.y + 25, 0, None))
    body = ellipsoid(Points(x, points.y, points.z, points.spacing_mm), (0, -17, 13), (69, 91, 63))
    body = smooth_maximum(body, np.abs(points.y + 17) - 88, 16.0)  # blunt poles
    # The floor: orbital roof in front, open in the middle, tentorium (lower at the sides) behind.
    floor = np.interp(points.y, [-105, -75, -40, -12, 18, 40, 66], [-13, -5, -1, -10, -21, -23, -14]).astype(np.float32)
    floor = floor - np.clip(-points.y - 20, 0, 20) / 20 * 0.24 * both.x
    body = smooth_maximum(body, floor - points.z, 9.0)
    temporal = ellipsoid(both, (44, -17, -22), (19.5, 46, 19), turn_x=-13.0)
    medial = ellipsoid(both, (25, -22, -20), (10, 24, 9))
    return smooth_minimum(body, smooth_minimum(temporal, medial, 8.0), 5.0)


def unsplit_region(points: Points) -> Array:
    """Return the distance, in the sagittal plane, to the region where the hemispheres are joined: callosum and everything below it."""
    return ellipse(points.y + 5, points.z - 2, (36, 27))


def callosum(points: Points) -> Array:
    """Return the distance to the corpus callosum: an arched band, thicker at its ends."""
    rim = unsplit_region(points)
    thickness = 3.0 + 0.05 * np.abs(points.y + 5)
    band = np.abs(rim + thickness) - thickness
    above = 2.0 - points.z - 0.12 * np.clip(points.y, 0, None)
    return smooth_maximum(smooth_maximum(band, np.abs(points.x) - 16, 4.0), above, 4.0)


def lateral_fissures(points: Points) -> Array:
    """Return the unsigned distance to the Sylvian fissures, sheets that run inwards from the side and then up and down over the insula."""
    both = points.mirrored()
    height = -11 + 0.40 * (18 - points.y)
    # The insula bulges outwards in its middle.
    bulge = ((points.y + 2) / 22) ** 2 + ((points.z - height - 4) / 13) ** 2
    insula_x = 38.5 - 3.5 * np.clip(bulge, 0, 1.5)
    beyond = np.clip(-40 - points.y, 0, None) ** 2 + np.clip(points.y - 26, 0, None) ** 2
    entry = np.sqrt(((points.z - height) * 0.93) ** 2 + np.clip(insula_x - both.x, 0, None) ** 2 + beyond)
    above = np.clip(points.z - (height + 15), 0, None) ** 2 + np.clip(height - 8 - points.z, 0, None) ** 2
    along = np.clip(-24 - points.y, 0, None) ** 2 + np.clip(points.y - 20, 0, None) ** 2
    return np.minimum(entry, np.sqrt((both.x - insula_x) ** 2 + above + along))


def nuclear_core(points: Points) -> Array:
    """Return the distance to the region of nuclei and ventricles, which no sulcus enters."""
    return ellipsoid(points, (0, -10, 5), (35, 46, 25))


def cerebellum_hull(points: Points) -> Array:
    """Return the distance to the smooth hull of the cerebellum, before the cerebrum above is cut out of it."""
    hemisphere = ellipsoid(points.mirrored(), (24, -64, -37), (31, 30, 23))
    vermis = ellipsoid(points, (0, -62, -31), (15, 26, 29))
    return smooth_minimum(hemisphere, vermis, 6.0)


def brain_stem(points: Points) -> Array:
    """Return the distance to midbrain, pons and medulla."""
    peduncles = tube(points.mirrored(), [(10, -16, -2, 7), (6.5, -22, -14, 8.5), (5, -24, -24, 9)])
    tectum = ellipsoid(points, (0, -31, -9), (10, 7, 9))
    pons = ellipsoid(points, (0, -26, -30), (18, 13, 14))
    medulla = tube(points, [(0, -33, -40, 9.5), (0, -40, -58, 7.5), (0, -44, -72, 6.5)])
    upper = smooth_minimum(smooth_minimum(peduncles, tectum, 3.0), pons, 4.0)
    return smooth_minimum(upper, medulla, 5.0)


def thalamus(points: Points) -> Array:
    """Return the distance to both thalami."""
    return ellipsoid(points.mirrored(), (11.5, -18, 7), (8, 15, 9), turn_z=24.0)


def caudate(points: Points, ventricle_scale: float) -> Array:
    """Return the distance to both caudate nuclei; wide ventricles push them outwards."""
    out = 1.5 * (ventricle_scale - 1)
    nodes = [
        (13 + out, 20, 1, 5.5),
        (14.5 + out, 10, 10, 5.2),
        (18 + out, -8, 20, 3.4),
        (23 + out, -27, 18, 2.2),
        (31 + out, -38, 8, 1.4),
    ]
    return tube(points.mirrored(), nodes)


def putamen(points: Points) -> Array:
    """Return the distance to both putamina."""
    return ellipsoid(points.mirrored(), (26, 2, 1), (4.8, 16, 10.5), turn_z=16.0)


def pallidum(points: Points) -> Array:
    """Return the distance to both globi pallidi."""
    return ellipsoid(points.mirrored(), (20, -4, -1), (3.6, 9, 6.5), turn_z=24.0)


def hippocampus(points: Points) -> Array:
    """Return the distance to both hippocampi and amygdalae."""
    both = points.mirrored()
    body = tube(both, [(24, -10, -20, 5.0), (28, -22, -15, 4.2), (29, -34, -4, 2.8)])
    return np.minimum(body, ellipsoid(both, (23, -3, -19), (7, 6.5, 7)))


def ventricles(points: Points, scale: float) -> Array:
    """Return the distance to all four ventricles; `scale` multiplies the width of the supratentorial ones."""
    both = points.mirrored()
    body = tube(
        both,
        [
            (10, 33, 0, 2.5 * scale),
            (8.5, 18, 11, 4.4 * scale),
            (9.5, -5, 20, 4.2 * scale),
            (14, -25, 20, 4.6 * scale),
            (24, -42, 12, 6.5 * scale),
            (26, -60, 7, 3.8 * scale),
            (24, -76, 4, 1.0 * scale),
        ],
    )
    temporal_horn = tube(both, [(24, -42, 12, 6 * scale), (35, -33, -8, 2.6 * scale), (33, -12, -19, 1.8 * scale)])
    lateral = smooth_maximum(smooth_minimum(body, temporal_horn, 2.0), 0.5 - both.x, 0.5)  # spares the septum
    third = ellipsoid(points, (0, -10, -2), (2.2 * scale, 15, 12))
    aqueduct = tube(points, [(0, -25, -4, 1.0), (0, -32, -14, 0.9), (0, -40, -26, 1.2)])
    fourth = ellipsoid(points, (0, -43, -31), (7, 4.5, 10))
    return np.minimum(np.minimum(lateral, third), np.minimum(aqueduct, fourth))


def choroid_plexus(points: Points, scale: float) -> Array:
    """Return the distance to the choroid plexus of the lateral ventricles, largest in the atrium."""
    nodes = [(7, -6, 17, 0.8), (13, -26, 17, 1.2), (23, -41, 10, 2.8 * scale), (33, -33, -7, 1.2)]
    return tube(points.mirrored(), nodes)


def arteries_and_sinuses(points: Points) -> Array:
    """Return the distance to the large vessels: carotids, middle and anterior cerebral and basilar arteries, deep veins, straight sinus."""
    both = points.mirrored()
    middle = tube(both, [(8, 2, -19, 1.4), (22, 6, -16, 1.1), (33, 8, -9, 0.9), (38, -6, 2, 0.7), (41, -26, 9, 0.5)])
    anterior = tube(
        both, [(8, 2, -19, 1.2), (2, 20, -12, 0.8), (1.6, 36, 4, 0.7), (1.6, 24, 30, 0.6), (1.6, -10, 35, 0.4)]
    )
    basilar = tube(points, [(0, -22, -50, 1.5), (0, -10, -30, 1.6), (0, -8, -14, 1.6)])
    posterior = tube(both, [(0, -8, -14, 1.0), (15, -18, -13, 0.8), (17, -38, -6, 0.6)])
    deep = tube(
        both,
        [
            (1.5, -2, 6, 0.4),
            (1.5, -14, 13, 0.5),
            (1.2, -32, 12, 0.6),
            (0.2, -42, 7, 1.3),
            (0, -62, 1, 1.4),
            (0, -92, -8, 1.6),
        ],
    )
    return np.minimum(np.minimum(np.minimum(middle, anterior), np.minimum(basilar, posterior)), deep)


def falx(points: Points, sideways: Array, hull: Array) -> Array:
    """Return the distance to the falx: a sheet along the midline from the skull to near the callosum, deeper behind than in front.

    `sideways` is the distance from the midline, `hull` the distance to the hull of the cerebrum [mm].
    """
    gap = np.interp(points.y, [-60, 40], [4, 16]).astype(np.float32)
    edges = smooth_maximum(gap - unsplit_region(points), hull - 1.0, 2.0)
    above = (
        np.interp(points.y, [-100, -60, -30, 60], [-8, 2, -20, -20]).astype(np.float32) - points.z
    )  # lower edge: tentorium behind, nose in front
    return np.maximum(np.maximum(np.abs(sideways) - 0.6, edges), above)


def tentorium(points: Points, cerebrum: Array) -> Array:
    """Return the distance to the tentorium: a sheet between cerebrum and cerebellum, open around the brain stem."""
    beside = np.maximum(cerebellum_hull(points) - 4, 7 - brain_stem(points))
    return np.maximum(np.abs(cerebrum - 0.8) - 0.6, np.maximum(beside, points.z - 8))


def sagittal_sinus(points: Points, sideways: Array, hull: Array) -> Array:
    """Return the distance to the superior sagittal sinus: under the skull along the midline, wider towards the back."""
    radius = np.interp(points.y, [-100, 60], [3.4, 1.0]).astype(np.float32)
    return np.maximum(np.sqrt(sideways**2 + (hull + radius) ** 2) - radius, np.float32(2) - points.z)
