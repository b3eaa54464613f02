"""The servers of a workspace, under supervisord: Prefect, a worker, MLflow and a model server."""
