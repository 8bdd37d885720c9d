"""How files of rows are laid out, on a disk or in a bucket: paths, partitions, names, formats."""
