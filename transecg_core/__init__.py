"""What TransECG-FL knows about ECG, models, privacy and risk; nothing in here knows Flower."""
