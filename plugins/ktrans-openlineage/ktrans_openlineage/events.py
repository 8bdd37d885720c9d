"""Makes events of the OpenLineage client from what a run tells. Imported in the sender's thread.

Facets by the OpenLineage specification: jobType; processing_engine, parent, errorMessage; schema;
inputStatistics, outputStatistics.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

from openlineage.client.event_v2 import (
    InputDataset,
    Job,
    OutputDataset,
    Run,
    RunEvent,
    RunState,
    set_producer,
)
from openlineage.client.facet_v2 import (
    error_message_run,
    input_statistics_input_dataset,
    job_type_job,
    output_statistics_output_dataset,
    parent_run,
    processing_engine_run,
    schema_dataset,
)
from openlineage.client.uuid import generate_static_uuid

from ktrans_openlineage.lineage import Told

PRODUCER = f"https://pypi.org/project/ktrans-openlineage/{version('ktrans-openlineage')}"
set_producer(PRODUCER)

_FILES = ("file", "s3://", "gs://", "abfss://")
"""Namespaces of stores where what is written are files."""


def event(told: Told) -> RunEvent:
    """Make an event."""
    run = told.run
    return RunEvent(
        eventType=RunState[told.state],
        eventTime=told.at.isoformat(),
        run=Run(runId=run_id(run), facets=_run_facets(told)),
        job=Job(namespace=told.namespace, name=run["pipeline"], facets=_job_facets(run)),
        producer=PRODUCER,
        inputs=_inputs(told),
        outputs=_outputs(told),
    )


def run_id(run: Mapping[str, Any]) -> str:
    """Give a run's UUID: the same for all its events, made of its start and its own id."""
    started = dt.datetime.fromisoformat(run["started"])
    return str(generate_static_uuid(started, f"{run['pipeline']}/{run['run_id']}".encode()))


def _run_facets(told: Told) -> dict[str, Any]:
    facets: dict[str, Any] = {
        "processing_engine": processing_engine_run.ProcessingEngineRunFacet(
            version=told.run["version"],
            name="ktrans",
            openlineageAdapterVersion=version("ktrans-openlineage"),
        )
    }
    if told.parent is not None:
        space, name, identity = told.parent
        root = None
        if told.root is not None:
            root = parent_run.Root(
                run=parent_run.RootRun(runId=told.root[2]),
                job=parent_run.RootJob(namespace=told.root[0], name=told.root[1]),
            )
        facets["parent"] = parent_run.ParentRunFacet(
            run=parent_run.Run(runId=identity),
            job=parent_run.Job(namespace=space, name=name),
            root=root,
        )
    if told.error is not None:
        facets["errorMessage"] = error_message_run.ErrorMessageRunFacet(
            message=told.error, programmingLanguage="PYTHON"
        )
    return facets


def _job_facets(run: Mapping[str, Any]) -> dict[str, Any]:
    kind = "STREAMING" if run["follow"] else "BATCH"
    return {
        "jobType": job_type_job.JobTypeJobFacet(
            processingType=kind, integration="KTRANS", jobType="PIPELINE"
        )
    }


def _inputs(told: Told) -> list[InputDataset]:
    """Name what is read; the counts are of all of it, so they need it to be one."""
    parts = [part for part in told.run["inputs"] if part["namespace"]]
    found = []
    for part in parts:
        facets = {}
        if told.input and len(parts) == 1:
            facets["inputStatistics"] = (
                input_statistics_input_dataset.InputStatisticsInputDatasetFacet(
                    rowCount=told.input["rows"],
                    size=told.input["bytes"],
                    fileCount=_files(part, told.input),
                )
            )
        found.append(
            InputDataset(namespace=part["namespace"], name=part["name"], inputFacets=facets)
        )
    return found


def _outputs(told: Told) -> list[OutputDataset]:
    parts = [part for part in told.run["outputs"] if part["namespace"]]
    datasets = Counter(part["component"] for part in parts)
    found = []
    for part in parts:
        fields = [
            schema_dataset.SchemaDatasetFacetFields(
                name=column["name"],
                type=column["type"],
                description=column["description"] or None,
                ordinal_position=number,
            )
            for number, column in enumerate(part["columns"], 1)
        ]
        counts = told.outputs.get(part["component"])
        statistics = {}
        if counts and datasets[part["component"]] == 1:
            statistics["outputStatistics"] = (
                output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet(
                    rowCount=counts["rows"],
                    size=counts["bytes"],
                    fileCount=_files(part, counts),
                )
            )
        found.append(
            OutputDataset(
                namespace=part["namespace"],
                name=part["name"],
                facets={"schema": schema_dataset.SchemaDatasetFacet(fields=fields)},
                outputFacets=statistics,
            )
        )
    return found


def _files(part: Mapping[str, Any], counts: Mapping[str, int]) -> int | None:
    return counts["files"] if part["namespace"].startswith(_FILES) else None
