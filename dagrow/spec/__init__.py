"""What a graph and a run are: frozen data, from YAML and back."""

from dagrow.spec.amplitude import AmplitudeSpec
from dagrow.spec.data import DataSourceSpec, DataSpec
from dagrow.spec.document import Document, read_document
from dagrow.spec.frozen import FrozenDict
from dagrow.spec.graph import EdgeId, GraphSpec, InputSpec, NodeSpec, SpecPart
from dagrow.spec.growth import BudgetSpec, GrowthSpec, TrialTrainingSpec
from dagrow.spec.hashing import graph_hash
from dagrow.spec.loaders import read_graph, read_run
from dagrow.spec.loggers import LoggerSpec
from dagrow.spec.nonparametric import AnnealSpec, ContinuousGrowthSpec, PenaltySpec
from dagrow.spec.patch import GraphPatch, TablePatch
from dagrow.spec.proposal import ProposalOptions
from dagrow.spec.proposal_settings import NewNodeSpec
from dagrow.spec.run import (
    CheckpointSpec,
    OptimizerSpec,
    RunSpec,
    TrainingSpec,
)
from dagrow.spec.schema import run_schema
from dagrow.spec.source import SourceFile
from dagrow.spec.writing import dump_graph, dump_run, plain_graph, save_graph, write_atomically

__all__ = [
    "AmplitudeSpec",
    "AnnealSpec",
    "BudgetSpec",
    "CheckpointSpec",
    "ContinuousGrowthSpec",
    "DataSourceSpec",
    "DataSpec",
    "Document",
    "EdgeId",
    "FrozenDict",
    "GraphPatch",
    "GraphSpec",
    "GrowthSpec",
    "InputSpec",
    "LoggerSpec",
    "NewNodeSpec",
    "NodeSpec",
    "OptimizerSpec",
    "PenaltySpec",
    "ProposalOptions",
    "RunSpec",
    "SourceFile",
    "SpecPart",
    "TablePatch",
    "TrainingSpec",
    "TrialTrainingSpec",
    "dump_graph",
    "dump_run",
    "graph_hash",
    "plain_graph",
    "read_document",
    "read_graph",
    "read_run",
    "run_schema",
    "save_graph",
    "write_atomically",
]
