"""What a CT would have to look like for a model to answer otherwise: latent shift with an autoencoder of slices."""
