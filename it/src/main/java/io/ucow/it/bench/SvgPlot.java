package io.ucow.it.bench;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.OptionalDouble;

/**
 * A picture of the results: for each job a group of horizontal bars, one for each target, as long as it is fast against
 * native. Bars past the right edge are cut there and have their figure beside them like all others.
 */
final class SvgPlot {
    private static final int LEFT = 190, PLOT = 640, RIGHT = 60, TOP = 60, BAR = 11, GAP = 12, LEGEND = 120;
    private static final double MAX_RATIO = 2;
    private static final double STEP = 0.25;
    private static final String[] GREYS = {"#9aa5b1", "#66727f", "#c9b79c", "#a08e72"};
    private static final String[] BLUES = {"#7fb2e5", "#0b57a4"};

    private final Results results;
    private final Target reference;
    private final List<Target> targets = new ArrayList<>();
    private final List<Metric> metrics = new ArrayList<>();
    private final List<String> colours = new ArrayList<>();

    /** @throws IllegalArgumentException if native took no part, or has no sample */
    SvgPlot(Results results) {
        this.results = results;
        this.reference = results.targets().stream()
                .filter(target -> target.family() == Target.Family.NATIVE)
                .findFirst()
                .orElseThrow(() -> new IllegalArgumentException("no plot without the target native"));
        int peers = 0;
        int own = 0;
        for (Target target : results.targets()) {
            if (target != reference) {
                targets.add(target);
                colours.add(
                        target.family() == Target.Family.UCOW
                                ? BLUES[own++ % BLUES.length]
                                : GREYS[peers++ % GREYS.length]);
            }
        }
        for (Metric metric : results.metrics()) {
            if (results.medianRate(metric, reference).isPresent()) {
                metrics.add(metric);
            }
        }
        if (metrics.isEmpty()) {
            throw new IllegalArgumentException("no plot: native has no result");
        }
    }

    /** An SVG document. */
    @Override
    public String toString() {
        int group = targets.size() * BAR + GAP;
        int bottom = TOP + metrics.size() * group;
        int width = LEFT + PLOT + RIGHT;
        StringBuilder svg = new StringBuilder();
        add(
                svg,
                "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %1$d %2$d\""
                        + " font-family=\"sans-serif\" font-size=\"11\">",
                width,
                bottom + GAP);
        add(svg, "<rect width=\"100%%\" height=\"100%%\" fill=\"white\"/>");
        legend(svg);
        for (double tick = 0; tick <= MAX_RATIO; tick += STEP) {
            double x = LEFT + tick / MAX_RATIO * PLOT;
            add(
                    svg,
                    "<line x1=\"%.1f\" y1=\"%d\" x2=\"%.1f\" y2=\"%d\" stroke=\"%s\"/>",
                    x,
                    TOP,
                    x,
                    bottom,
                    tick == 1 ? "#333333" : "#e3e6e9");
            add(svg, "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%.2f</text>", x, TOP - 6, tick);
        }
        int y = TOP + GAP / 2;
        for (Metric metric : metrics) {
            add(
                    svg,
                    "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\" dominant-baseline=\"middle\">%s</text>",
                    LEFT - 8,
                    y + targets.size() * BAR / 2.0,
                    escaped(metric.name()));
            for (int i = 0; i < targets.size(); i++) {
                bar(svg, metric, i, y + i * BAR);
            }
            y += group;
        }
        return svg.append("</svg>\n").toString();
    }

    private void legend(StringBuilder svg) {
        add(svg, "<text x=\"8\" y=\"20\">times native</text>");
        for (int i = 0; i < targets.size(); i++) {
            int x = LEFT + i * LEGEND;
            add(svg, "<rect x=\"%d\" y=\"12\" width=\"10\" height=\"10\" fill=\"%s\"/>", x, colours.get(i));
            add(
                    svg,
                    "<text x=\"%d\" y=\"21\">%s</text>",
                    x + 14,
                    escaped(targets.get(i).name()));
        }
    }

    private void bar(StringBuilder svg, Metric metric, int target, int y) {
        OptionalDouble ratio = results.rateRatio(metric, targets.get(target), reference);
        if (ratio.isEmpty()) {
            return;
        }
        double length = Math.min(ratio.getAsDouble(), MAX_RATIO) / MAX_RATIO * PLOT;
        add(
                svg,
                "<rect x=\"%d\" y=\"%d\" width=\"%.1f\" height=\"%d\" fill=\"%s\"/>",
                LEFT,
                y,
                length,
                BAR - 1,
                colours.get(target));
        add(
                svg,
                "<text x=\"%.1f\" y=\"%d\" font-size=\"9\">%.2f</text>",
                LEFT + length + 3,
                y + BAR - 2,
                ratio.getAsDouble());
    }

    private static void add(StringBuilder svg, String format, Object... values) {
        svg.append(String.format(Locale.ROOT, format, values)).append('\n');
    }

    private static String escaped(String text) {
        return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;");
    }
}
