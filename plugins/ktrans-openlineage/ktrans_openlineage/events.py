"""Creates events of the OpenLineage client. Imported in the sender's thread.

Facets of the OpenLineage specification: jobType; processing_engine, parent, errorMessage; schema;
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

from ktrans_openlineage.event_data import EventData

PRODUCER = f"https://pypi.org/project/ktrans-openlineage/{version('ktrans-openlineage')}"
set_producer(PRODUCER)

_FILES = ("file", "s3://", "gs://", "abfss://")
"""Namespaces of stores whose datasets consist of files."""


def event(data: EventData) -> RunEvent:
    """Create an event."""
    run = data.run
    job_type = job_type_job.JobTypeJobFacet(
        processingType="STREAMING" if run["follow"] else "BATCH",
        integration="KTRANS",
        jobType="PIPELINE",
    )
    return RunEvent(
        eventType=RunState[data.state],
        eventTime=data.at.isoformat(),
        run=Run(runId=run_id(run), facets=_run_facets(data)),
        job=Job(namespace=data.namespace, name=run["pipeline"], facets={"jobType": job_type}),
        producer=PRODUCER,
        inputs=_inputs(data),
        outputs=_outputs(data),
    )


def run_id(run: Mapping[str, Any]) -> str:
    """Return the UUID of a run, derived from its start and id: the same in all its events."""
    started = dt.datetime.fromisoformat(run["started"])
    return str(generate_static_uuid(started, f"{run['pipeline']}/{run['run_id']}".encode()))


def _run_facets(data: EventData) -> dict[str, Any]:
    facets: dict[str, Any] = {
        "processing_engine": processing_engine_run.ProcessingEngineRunFacet(
            version=data.run["version"],
            name="ktrans",
            openlineageAdapterVersion=version("ktrans-openlineage"),
        )
    }
    if data.parent is not None:
        space, name, identity = data.parent
        root = None
        if data.root is not None:
            root = parent_run.Root(
                run=parent_run.RootRun(runId=data.root[2]),
                job=parent_run.RootJob(namespace=data.root[0], name=data.root[1]),
            )
        facets["parent"] = parent_run.ParentRunFacet(
            run=parent_run.Run(runId=identity),
            job=parent_run.Job(namespace=space, name=name),
            root=root,
        )
    if data.error is not None:
        facets["errorMessage"] = error_message_run.ErrorMessageRunFacet(
            message=data.error, programmingLanguage="PYTHON"
        )
    return facets


def _inputs(data: EventData) -> list[InputDataset]:
    """Return the input datasets; the statistics need a single one, since they are totals."""
    parts = [part for part in data.run["inputs"] if part["namespace"]]
    found = []
    for part in parts:
        facets = {}
        if data.input and len(parts) == 1:
            facets["inputStatistics"] = (
                input_statistics_input_dataset.InputStatisticsInputDatasetFacet(
                    rowCount=data.input["rows"],
                    size=data.input["bytes"],
                    fileCount=_files(part, data.input),
                )
            )
        found.append(
            InputDataset(namespace=part["namespace"], name=part["name"], inputFacets=facets)
        )
    return found


def _outputs(data: EventData) -> list[OutputDataset]:
    parts = [part for part in data.run["outputs"] if part["namespace"]]
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
        counts = data.outputs.get(part["component"])
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
