"""How our panels look: one function a kind, the same colours, legends and units everywhere."""

from __future__ import annotations

from collections.abc import Sequence

from grafana_foundation_sdk.builders import common, heatmap, stat, text, timeseries
from grafana_foundation_sdk.builders.dashboard import (
    AnnotationQuery,
    Dashboard,
    DashboardLink,
    QueryVariable,
    Row,
    ThresholdsConfig,
)
from grafana_foundation_sdk.builders.prometheus import Dataquery
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models.common import (
    BigValueColorMode,
    BigValueTextMode,
    DataSourceRef,
    GraphThresholdsStyleMode,
    LegendDisplayMode,
    LegendPlacement,
    ScaleDistribution,
    StackingMode,
    TooltipDisplayMode,
    VisibilityMode,
)
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DashboardLinkType,
    Panel,
    Threshold,
    ThresholdsMode,
    VariableOption,
    VariableRefresh,
)
from grafana_foundation_sdk.models.heatmap import HeatmapColorMode
from grafana_foundation_sdk.models.prometheus import PromQueryFormat
from grafana_foundation_sdk.models.text import TextMode

from boards.queries import gauge

SOURCE = DataSourceRef(type_val="prometheus", uid="prometheus")  # docker/grafana/provisioning names it so
TAG = "dmi-match"

Limits = Sequence[tuple[float, str]]  # from this value on, this colour


def _thresholds(limits: Limits) -> ThresholdsConfig:
    steps = [Threshold(value=None, color="green"), *(Threshold(value, color) for value, color in limits)]
    return ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps)


def _query(expression: str, legend: str, number: int) -> Dataquery:
    return Dataquery().expr(expression).legend_format(legend).ref_id("ABCDEFGH"[number]).datasource(SOURCE).range()


def graph(
    title: str,
    description: str,
    unit: str,
    queries: dict[str, str],
    span: int = 8,
    limits: Limits = (),
    stacked: StackingMode | None = None,
    most: float | None = None,
) -> timeseries.Panel:
    """Lines over time; `queries` by legend. `limits` are drawn as lines, too."""
    panel = (
        timeseries.Panel()
        .title(title)
        .description(description)
        .datasource(SOURCE)
        .unit(unit)
        .min(0)
        .span(span)
        .height(8)
        .line_width(1.5)
        .fill_opacity(30 if stacked else 8)
        .show_points(VisibilityMode.NEVER)
        .thresholds(_thresholds(limits))
        .legend(
            common.VizLegendOptions()
            .display_mode(LegendDisplayMode.LIST)
            .placement(LegendPlacement.BOTTOM)
            .show_legend(True)
        )
        .tooltip(common.VizTooltipOptions().mode(TooltipDisplayMode.MULTI))
    )
    if limits:
        panel.thresholds_style(common.GraphThresholdsStyleConfig().mode(GraphThresholdsStyleMode.DASHED))
    if stacked:
        panel.stacking(common.StackingConfig().mode(stacked))
    if most is not None:
        panel.max(most)
    for number, (legend, expression) in enumerate(queries.items()):
        panel.with_target(_query(expression, legend, number))
    return panel


def number(title: str, description: str, unit: str, expression: str, limits: Limits = (), name: str = "") -> stat.Panel:
    """One figure; with `name`, a legend, that is shown in its place."""
    return (
        stat.Panel()
        .title(title)
        .description(description)
        .datasource(SOURCE)
        .unit(unit)
        .span(4)
        .height(4)
        .color_mode(BigValueColorMode.VALUE)
        .text_mode(BigValueTextMode.NAME if name else BigValueTextMode.VALUE)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        .thresholds(_thresholds(limits))
        .with_target(_query(expression, name, 0))
    )


def heat(title: str, description: str, unit: str, buckets: str, span: int = 8) -> heatmap.Panel:
    """A histogram over time; `buckets` is the rate of its buckets by `le`."""
    return (
        heatmap.Panel()
        .title(title)
        .description(description)
        .datasource(SOURCE)
        .span(span)
        .height(8)
        .y_axis(heatmap.YAxisConfig().unit(unit))
        .color(heatmap.HeatmapColorOptions().mode(HeatmapColorMode.SCHEME).scheme("Oranges").steps(64))
        .scale_distribution(common.ScaleDistributionConfig().type(ScaleDistribution.LINEAR))
        .hide_legend()
        .with_target(_query(buckets, "{{le}}", 0).format(PromQueryFormat.HEATMAP))
    )


def page(title: str, markdown: str) -> text.Panel:
    """A text across the whole width."""
    return text.Panel().title(title).mode(TextMode.MARKDOWN).content(markdown).span(24).height(24)


def variable(name: str, label: str, query: str) -> QueryVariable:
    """A choice of any of a label's values; all at first."""
    everything = VariableOption(text="All", value="$__all")
    return (
        QueryVariable(name)
        .label(label)
        .datasource(SOURCE)
        .query(query)
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .multi(True)
        .include_all(True)
        .all_value(".*")
        .current(everything)
    )


def section(board_: Dashboard, title: str, *panels: Builder[Panel]) -> None:
    """A row with this title, and its panels."""
    board_.with_row(Row(title))
    for panel in panels:
        board_.with_panel(panel)


def board(title: str, uid: str, description: str) -> Dashboard:
    """An empty dashboard with what all of ours have: variables, links to each other, marks where a bundle was loaded."""
    return (
        Dashboard(title)
        .uid(uid)
        .description(description)
        .tags([TAG])
        .refresh("15s")
        .time("now-1h", "now")
        .timezone("browser")
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .with_variable(variable("instance", "Instance", 'label_values(up{job="dmi-match"}, instance)'))
        .with_variable(variable("version", "Version", 'label_values(dmi_bundle_info{instance=~"$instance"}, version)'))
        .link(
            DashboardLink("DMI Match").type(DashboardLinkType.DASHBOARDS).tags([TAG]).include_vars(True).keep_time(True)
        )
        .annotation(
            AnnotationQuery()
            .name("Bundle loaded")
            .datasource(SOURCE)
            .enable(True)
            .icon_color("purple")
            .expr(f"changes({gauge('dmi_bundle_loaded_timestamp_seconds')}[$__rate_interval]) > 0")
        )
        .annotation(
            AnnotationQuery()
            .name("Alerts firing")
            .datasource(SOURCE)
            .enable(False)
            .icon_color("red")
            .expr('ALERTS{job="dmi-match", alertstate="firing"}')
        )
    )
