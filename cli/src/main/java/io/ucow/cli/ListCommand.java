package io.ucow.cli;

import com.grack.nanojson.JsonArray;
import com.grack.nanojson.JsonObject;
import io.ucow.cli.daemon.DaemonState;
import io.ucow.cli.daemon.FileJson;
import io.ucow.cli.daemon.RunDirectory;
import io.ucow.cli.daemon.ServedFile;
import io.ucow.cli.text.TextTable;
import java.io.IOException;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;

/** {@code ucow list}: what is mounted and attached. Asks no daemon, so that a stuck one cannot hold it up. */
@Command(
        name = "list",
        description = {
            "List what is mounted and attached.",
            "A state of 'dead' means that the daemon died; 'ucow unmount' or 'ucow detach' cleans up.",
            "'restarting' means that it died and another one is about to take its place."
        },
        mixinStandardHelpOptions = true)
final class ListCommand implements Callable<Integer> {
    @Mixin
    private Output output;

    @Override
    public Integer call() throws IOException {
        JsonArray rows = new JsonArray();
        for (DaemonState daemon : RunDirectory.ofUser().states()) {
            if (!daemon.ready() && daemon.isAlive()) {
                continue; // on its way up: not to be used yet
            }
            for (ServedFile file : daemon.files()) {
                rows.add(FileJson.of(daemon, file));
            }
        }
        if (output.isJson()) {
            output.json(rows);
        } else {
            output.text(table(rows));
        }
        return ExitCodes.OK;
    }

    private static String table(JsonArray rows) {
        TextTable table = new TextTable("IMAGE", "FILE", "LOOP", "PID", "TRANSPORT", "STATE");
        for (Object row : rows) {
            JsonObject json = (JsonObject) row;
            table.add(
                    json.getString("image", "-"),
                    json.getString("file"),
                    json.isNull("loop") ? "-" : json.getString("loop"),
                    Long.toString(json.getLong("pid")),
                    json.getString("transport"),
                    json.getString("state"));
        }
        return table.toString();
    }
}
