package io.ucow.cli;

import com.grack.nanojson.JsonArray;
import com.grack.nanojson.JsonObject;
import io.ucow.cli.text.TextTable;
import io.ucow.fuse.Transport;
import io.ucow.store.Images;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.stream.Collectors;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;

/**
 * {@code ucow plugins}: what {@code --format} and {@code --transport} take. As JSON, with {@code usable} false where this
 * machine lacks something, and the description saying what; a format's options are those of {@code ucow create}:
 * <pre>
 *   [{"kind":"format" | "transport", "name":"ucow", "usable":true, "description":"one line",
 *     "options":["chunk", …]}, …]
 * </pre>
 */
@Command(
        name = "plugins",
        description = "List the image formats and transports that there are.",
        mixinStandardHelpOptions = true)
final class PluginsCommand implements Callable<Integer> {
    @Mixin
    private Output output;

    @Override
    public Integer call() {
        JsonArray rows = new JsonArray();
        Images.plugins().forEach(p -> rows.add(row("format", p.name(), true, p.description(), p.options())));
        for (Transport transport : Transport.all()) {
            String problem = transport.unusableBecause().orElse("");
            String description = problem.isEmpty() ? "usable here" : problem;
            rows.add(row("transport", transport.name(), problem.isEmpty(), description, List.of()));
        }
        if (output.isJson()) {
            output.json(rows);
            return ExitCodes.OK;
        }
        TextTable table = new TextTable("KIND", "NAME", "DESCRIPTION");
        for (Object row : rows) {
            JsonObject json = (JsonObject) row;
            table.add(json.getString("kind"), json.getString("name"), json.getString("description"));
            if (!json.getArray("options").isEmpty()) {
                table.add("", "", "options: " + options(json));
            }
        }
        output.text(table.toString());
        return ExitCodes.OK;
    }

    private static String options(JsonObject row) {
        return row.getArray("options").stream().map(Object::toString).collect(Collectors.joining(", "));
    }

    private static JsonObject row(String kind, String name, boolean usable, String description, List<String> options) {
        return JsonObject.builder()
                .value("kind", kind)
                .value("name", name)
                .value("usable", usable)
                .value("description", description)
                .value("options", new JsonArray(options))
                .done();
    }
}
