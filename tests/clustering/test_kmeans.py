"""Spherical k-means and the order of its centroids."""

import numpy as np
import pytest

from kernelatlas.clustering.kmeans import dissimilarity, short_path, spherical_kmeans
from kernelatlas.errors import KernelAtlasError
from kernelatlas.kernels.normalise import normalise


def planted(n=6, d=25, each=40, noise=0.03):
    rng = np.random.default_rng(1)
    directions = normalise(rng.normal(size=(n, d)))
    kernels = np.repeat(directions, each, axis=0)
    return directions, normalise(kernels + rng.normal(0, noise, kernels.shape))


def test_planted_directions_are_found():
    directions, kernels = planted()
    centroids = spherical_kmeans(kernels, 6, seed=0)
    assert centroids.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(centroids, axis=1), 1, atol=1e-6)
    cosines = directions @ centroids.T
    assert sorted(cosines.argmax(axis=1)) == list(range(6))
    assert cosines.max(axis=1).min() > 0.998


def test_each_centroid_is_the_mean_direction_of_its_kernels():
    rng = np.random.default_rng(0)
    # Uneven clusters, for which the rounds on the sphere move something.
    kernels = normalise(rng.normal(size=(600, 25)) * np.linspace(1, 3, 25) + np.arange(25) / 12)
    centroids = spherical_kmeans(kernels, 12, seed=0)
    nearest = (kernels @ centroids.T).argmax(axis=1)
    for i in range(12):
        mean = kernels[nearest == i].sum(axis=0)
        np.testing.assert_allclose(centroids[i], mean / np.linalg.norm(mean), atol=1e-5)


def test_a_seed_gives_the_same_centroids():
    _, kernels = planted(noise=0.3)
    first = spherical_kmeans(kernels, 9, seed=3)
    assert np.array_equal(first, spherical_kmeans(kernels, 9, seed=3))
    assert not np.array_equal(first, spherical_kmeans(kernels, 9, seed=4))


def test_as_many_centroids_as_kernels():
    kernels = planted(each=1)[1]
    assert dissimilarity(kernels, spherical_kmeans(kernels, 6, seed=0)).max() < 1e-6


def test_too_few_kernels():
    kernels = planted(each=1)[1]
    with pytest.raises(KernelAtlasError, match=r"6 kernels are fewer than the 7 centroids.*add"):
        spherical_kmeans(kernels, 7, seed=0)


def test_dissimilarity_is_one_minus_the_best_cosine():
    prototypes = np.eye(3)[:2]
    kernels = np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0], [0.6, 0.8, 0]])
    np.testing.assert_allclose(dissimilarity(kernels, prototypes), [0, 1, 1, 0.2], atol=1e-12)
    np.testing.assert_allclose(dissimilarity(kernels[2:3], prototypes[1:]), [2])


@pytest.mark.parametrize("seed", range(5))
def test_points_on_an_arc_are_put_in_order(seed):
    angles = np.linspace(0, 2.8, 15)
    shuffled = np.random.default_rng(seed).permutation(15)
    points = np.stack([np.cos(angles), np.sin(angles)], axis=1)[shuffled].astype(np.float32)
    order = shuffled[short_path(points)].tolist()
    assert order in (list(range(15)), list(range(14, -1, -1)))


def test_the_path_visits_every_point_once_and_is_shorter_than_nearest_neighbours():
    points = normalise(np.random.default_rng(0).normal(size=(30, 9)))
    order = short_path(points)
    assert sorted(order) == list(range(30))

    def length(path):
        return (1 - (points[path[1:]] * points[path[:-1]]).sum(axis=1)).sum()

    greedy, left = [0], set(range(1, 30))
    while left:
        greedy.append(max(left, key=lambda j: points[greedy[-1]] @ points[j]))
        left.remove(greedy[-1])
    assert length(order) < length(np.array(greedy))


def test_equal_points_end():
    assert sorted(short_path(np.ones((8, 1), np.float32))) == list(range(8))
    assert short_path(np.ones((1, 1), np.float32)).tolist() == [0]
