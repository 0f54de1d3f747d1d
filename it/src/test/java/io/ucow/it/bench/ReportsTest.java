package io.ucow.it.bench;

import static io.ucow.it.bench.FakeTarget.LAX;
import static io.ucow.it.bench.FakeTarget.LZ4;
import static io.ucow.it.bench.FakeTarget.NATIVE;
import static io.ucow.it.bench.FakeTarget.PASS_THROUGH;
import static io.ucow.it.bench.FakeTarget.PLAIN;
import static io.ucow.it.bench.FakeTarget.QCOW2;
import static io.ucow.it.bench.FakeTarget.QEMU;
import static io.ucow.it.bench.FakeTarget.QEMU_EXT;
import static io.ucow.it.bench.FakeTarget.UCOW;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.grack.nanojson.JsonObject;
import com.grack.nanojson.JsonParser;
import java.io.ByteArrayInputStream;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Map;
import java.util.OptionalDouble;
import javax.xml.parsers.DocumentBuilderFactory;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.w3c.dom.NodeList;

class ReportsTest {
    private static final Job READ = Job.ALL.get(0);
    private static final Map<String, String> SKIPPED = Map.of("xmount", "there is no program xmount");

    private final Results results = new Results(List.of(NATIVE, QEMU, LAX, UCOW), List.of(READ, Job.BONNIE));

    @BeforeEach
    void fill() {
        add(NATIVE, 1000, 10, 100);
        add(QEMU, 400, 20, 200);
        results.addFailure(READ, LAX, "it\nfell over");
        add(UCOW, 800, 11, 100);
        results.add(Job.BONNIE.metrics().get(1), NATIVE, 1, Sample.of(5000));
        results.add(Job.BONNIE.metrics().get(1), UCOW, 1, Sample.of(15000));
    }

    private void add(Target target, double rate, double p50, double p99) {
        results.add(READ.metrics().get(0), target, 1, new Sample(rate, OptionalDouble.of(p50), OptionalDouble.of(p99)));
    }

    @Test
    void markdownHasNoTableOfLatenciesWhereThereAreNone() {
        Results moves = new Results(List.of(NATIVE, UCOW), List.of(Job.COMMIT));
        moves.add(Job.COMMIT.metrics().get(0), NATIVE, 1, Sample.of(1000));
        moves.add(Job.COMMIT.metrics().get(0), UCOW, 1, Sample.of(500));
        assertThat(new MarkdownReport(moves, Map.of())).hasToString("""
                | job | unit | native | ucow | ucow / better QEMU | ucow / native | p99 / QEMU's |
                |---|---|---|---|---|---|---|
                | commit | MB/s | 1000 | 500 | – | 0.50 | – |

                """);
    }

    @Test
    void markdownHasRatesRatiosLatenciesAndNotes() {
        assertThat(new MarkdownReport(results, SKIPPED)).hasToString("""
                | job | unit | native | qemu | lax ¹ | ucow | ucow / better QEMU | ucow / native | p99 / QEMU's |
                |---|---|---|---|---|---|---|---|---|
                | read-4k-qd16 | IOPS | 1000 | 400 | failed | 800 | 2.00 | 0.80 | 0.50 |
                | bonnie-put-block | KiB/s | 5000 | – | – | 15000 | – | 3.00 | – |

                | p50 / p99, µs | native | qemu | lax | ucow |
                |---|---|---|---|---|
                | read-4k-qd16 | 10 / 100 | 20 / 200 | – / – | 11 / 100 |

                ¹ may acknowledge an fsync without one: compare its figures of jobs that sync with nothing.
                Left out: xmount, there is no program xmount.
                Failed: read-4k-qd16 on lax: it fell over.
                """);
    }

    @Test
    void kindsOfStoresAreComparedWithThePlainOneAlone() {
        Results stores = new Results(List.of(UCOW, PLAIN, LZ4), List.of(Job.TREE_SPACE));
        Metric space = Job.TREE_SPACE.metrics().get(0);
        stores.add(space, PLAIN, 1, Sample.of(1000));
        stores.add(space, LZ4, 1, Sample.of(570));
        assertThat(new MarkdownReport(stores, Map.of()).toString())
                .contains("""
                | job | unit | store-plain | store-lz4 | store-lz4 / plain |
                |---|---|---|---|---|
                | tree-space | MB taken | 1000 | 570 | 0.57 |
                """)
                .doesNotContain("better QEMU");
    }

    @Test
    void qcow2IsComparedWithQemuOnTheSameKindOfImage() {
        Results images = new Results(List.of(QEMU, QEMU_EXT, UCOW, QCOW2), List.of(READ));
        Metric read = READ.metrics().get(0);
        images.add(read, QEMU, 1, Sample.of(400));
        images.add(read, QEMU_EXT, 1, Sample.of(500));
        images.add(read, UCOW, 1, Sample.of(1000));
        images.add(read, QCOW2, 1, Sample.of(800));
        assertThat(new MarkdownReport(images, Map.of()).toString()).contains("""
                | job | unit | qemu | qemu-ext | ucow | ucow-qcow2 | ucow / better QEMU | ucow / native | p99 / QEMU's | ucow-qcow2 / qemu |
                |---|---|---|---|---|---|---|---|---|---|
                | read-4k-qd16 | IOPS | 400 | 500 | 1000 | 800 | 2.00 | – | – | 2.00 |
                """);
    }

    @Test
    void theEngineIsComparedWithItsTransportAlone() throws Exception {
        Results images = new Results(List.of(PASS_THROUGH, UCOW), List.of(READ));
        Metric read = READ.metrics().get(0);
        images.add(read, PASS_THROUGH, 1, Sample.of(500));
        images.add(read, UCOW, 1, Sample.of(450));
        assertThat(new MarkdownReport(images, Map.of()).toString()).contains("""
                | job | unit | pass-through | ucow | ucow / better QEMU | ucow / native | p99 / QEMU's | ucow / pass-through |
                |---|---|---|---|---|---|---|---|
                | read-4k-qd16 | IOPS | 500 | 450 | – | – | – | 0.90 |
                """);
        String json = JsonReport.of(images, Map.of(), new JsonObject());
        assertThat(JsonParser.object().from(json).getArray("rows").getObject(0).getDouble("ratioToPassThrough"))
                .isEqualTo(0.9);
    }

    @Test
    void jsonHasEverySample() throws Exception {
        JsonObject settings = new JsonObject();
        settings.put("rounds", 1);

        JsonObject report = JsonParser.object().from(JsonReport.of(results, SKIPPED, settings));

        assertThat(report.getInt("rounds")).isEqualTo(1);
        assertThat(report.getArray("targets")).containsExactly("native", "qemu", "lax", "ucow");
        assertThat(report.getObject("skipped").getString("xmount")).isEqualTo("there is no program xmount");
        JsonObject row = report.getArray("rows").getObject(0);
        assertThat(row.getString("job")).isEqualTo("read-4k-qd16");
        assertThat(row.getDouble("ratioToQemu")).isEqualTo(2);
        assertThat(row.getDouble("ratioToNative")).isEqualTo(0.8);
        assertThat(row.getDouble("p99RatioToQemu")).isEqualTo(0.5);
        JsonObject ucow = row.getObject("targets").getObject("ucow");
        assertThat(ucow.getDouble("rate")).isEqualTo(800);
        assertThat(ucow.getArray("samples").getObject(0).getDouble("p50Micros")).isEqualTo(11);
        assertThat(row.getObject("targets").getObject("lax").getString("failure"))
                .isEqualTo("it\nfell over");
    }

    @Test
    void plotHasABarForEachRatioCutAtTheEdge() throws Exception {
        String svg = new SvgPlot(results).toString();

        var document = DocumentBuilderFactory.newInstance()
                .newDocumentBuilder()
                .parse(new ByteArrayInputStream(svg.getBytes(StandardCharsets.UTF_8)));
        NodeList texts = document.getElementsByTagName("text");
        StringBuilder words = new StringBuilder();
        for (int i = 0; i < texts.getLength(); i++) {
            words.append(texts.item(i).getTextContent()).append('\n');
        }
        assertThat(words.toString()).contains("read-4k-qd16\n0.40\n0.80\n", "bonnie-put-block\n3.00\n");
        // The background, three in the legend, three bars.
        assertThat(document.getElementsByTagName("rect").getLength()).isEqualTo(7);
        assertThat(svg).contains("width=\"640.0\"").doesNotContain("width=\"960.0\"");
    }

    @Test
    void plotNeedsNative() {
        assertThatThrownBy(() -> new SvgPlot(new Results(List.of(UCOW), List.of(READ))))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessage("no plot without the target native");
    }
}
