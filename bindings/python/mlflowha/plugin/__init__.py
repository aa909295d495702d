"""The MLflow plugin: MLflow's own Python client, with its requests sent through mlflowha.

MLflow finds it by the entry points of this package; there is nothing to import. What is where:

- `mlflowha_mlflow`: what the entry points name; decides whether a URI is ours.
- `uris`: the endpoints behind a URI. `routes`: the operation behind a request.
- `link`: the client behind a URI, its calls, and what MLflow gets to see of their errors (`errors`).
- `transport`: the one function of MLflow through which all its requests go, and `transfer`, what carries bytes.
- `stores`, `artifacts`: MLflow's stores and artifact repositories over these.
- `outage`: what happens to logging calls while no server answers.
"""
