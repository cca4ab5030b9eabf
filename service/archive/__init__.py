"""Tags archives that outgrow one process: files by the thousand, or a Dask DataFrame, on Dask.

Nothing is imported here, so that a plain installation, which has no Dask, can say so itself.
"""
