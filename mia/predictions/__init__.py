"""Predictions that any other program made: read from what people have, put in order, and made into targets to attack.

reading   files of arrays: .npz, .npy, .csv, .parquet, .safetensors; never a pickle
tidy      one array at a time: outputs, labels, membership, as people save them, into what attacks take
forms     several arrays together: a target and shadows, all models in turn, losses, scores made elsewhere
planned   a plan and one file of predictions per model
"""
