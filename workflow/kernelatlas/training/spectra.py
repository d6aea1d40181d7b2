"""Power spectra of images."""

import numpy as np

BAND = (0.03, 0.3)  # frequencies in cycles per pixel between which the exponent is fitted


def radial_power(pictures: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean power of square images at each spatial frequency.

    The mean of each image is subtracted, and the image is multiplied by a Hann window; its squared
    Fourier magnitudes are averaged over all directions, in rings one bin wide.

    Parameters
    ----------
    pictures : ndarray of shape (n, side, side)

    Returns
    -------
    frequency : ndarray of shape (side // 2 - 1,)
        Cycles per pixel, from one cycle per image to less than the Nyquist frequency.
    power : ndarray of the same shape
        Power per pixel: white noise with variance 1 has power 1.
    """
    side = pictures.shape[-1]
    window = np.outer(np.hanning(side), np.hanning(side))
    centred = pictures - pictures.mean(axis=(1, 2), keepdims=True)
    power = (np.abs(np.fft.fft2(centred * window)) ** 2).mean(axis=0) / (window**2).sum()
    axis = np.fft.fftfreq(side)
    ring = np.rint(np.hypot(axis, axis[:, None]) * side).astype(int).ravel()
    rings = np.arange(1, side // 2)
    sums, counts = np.bincount(ring, power.ravel()), np.bincount(ring)
    return rings / side, sums[rings] / counts[rings]


def exponent(frequency: np.ndarray, power: np.ndarray) -> float:
    """Return α of power ∝ frequency^−α, by least squares on the logarithms in `BAND`."""
    inside = (frequency >= BAND[0]) & (frequency <= BAND[1])
    slope = np.polyfit(np.log(frequency[inside]), np.log(power[inside]), 1)[0]
    return -float(slope)
