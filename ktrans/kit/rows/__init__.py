"""Rows as text, by columns: the machinery of row formats.

| module | contents |
|---|---|
| row_format | RowFormat, TextFormat: bases of formats of one row after the other |
| pieces | constant, coded, plain and numeric pieces of rows, joined at the end |
| codes | columns by distinct value |
| scalars | any scalar value as text |
| json | any value as JSON text, rows as JSON objects |
| es_bulk | EsBulkFormat: bulk requests of Elasticsearch |
| influx | InfluxFormat: InfluxDB line protocol; escaping and points are parts of it |
| binary | values as bytes, as Avro and Protocol Buffers have them |
| protobuf | rows as messages of Protocol Buffers |
"""
