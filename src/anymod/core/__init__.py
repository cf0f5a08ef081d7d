"""Mathematics: functions of tensors, without files, networks or settings.

The generative model (method, sections 3 to 5): z_L ~ N(0, I), z_l ~ N(mu_l(z_{l+1}), sigma_l(z_{l+1})), and every image x_m depends on
z_1 only. The posterior given any subset s of images is, level by level, the prior times one Gaussian expert per shown modality.
"""
