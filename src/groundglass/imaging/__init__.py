"""Array to array: resampling, morphology in mm, connected objects, display windows."""
