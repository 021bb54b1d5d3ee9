"""Predictions that any other program made: read from what people have, put in order, and made into targets to attack.

reading   files of arrays: .npz, .npy, .csv, .parquet, .safetensors; never a pickle
tidy      one array at a time: outputs, labels, membership, as people save them, into what attacks take
audit     what is attacked, and what else is known of the records; scores made elsewhere
forms     several arrays together: a target and shadows, losses, all models in turn
planned   a plan and one file of predictions per model
"""
