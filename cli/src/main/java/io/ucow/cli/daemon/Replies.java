package io.ucow.cli.daemon;

import com.grack.nanojson.JsonObject;
import com.grack.nanojson.JsonParser;
import com.grack.nanojson.JsonParserException;
import com.grack.nanojson.JsonWriter;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.PrintStream;
import java.util.function.Consumer;

/**
 * How a daemon answers, on its control socket and on the pipe to the command that starts it. Each line is one JSON
 * object with one of three members; any number of items, then one of the others:
 * <pre>
 *   {"item":{…}}
 *   {"done":{…}}
 *   {"error":"one line for people", "code":exit code}
 * </pre>
 */
final class Replies {
    private Replies() {}

    static void item(PrintStream out, JsonObject item) {
        line(out, new JsonObject(), "item", item);
    }

    static void done(PrintStream out, JsonObject result) {
        line(out, new JsonObject(), "done", result);
        out.flush();
    }

    static void error(PrintStream out, RemoteException error) {
        JsonObject json = new JsonObject();
        json.put("code", error.exitCode());
        line(out, json, "error", error.getMessage());
        out.flush();
    }

    private static void line(PrintStream out, JsonObject json, String member, Object value) {
        json.put(member, value);
        print(out, json);
    }

    /** Sends any other message at once, as one line. */
    static void send(PrintStream out, JsonObject message) {
        print(out, message);
        out.flush();
    }

    /** A line feed ends a message, whatever the platform. */
    private static void print(PrintStream out, JsonObject json) {
        out.print(JsonWriter.string(json) + '\n');
    }

    /**
     * Reads one answer.
     *
     * @return what is in {@code done}
     * @throws RemoteException if the daemon answered with an error
     * @throws IOException if it ended before it had answered
     */
    static JsonObject read(BufferedReader in, Consumer<JsonObject> items) throws IOException {
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            JsonObject reply = parse(line);
            if (reply.has("error")) {
                throw new RemoteException(reply.getString("error"), reply.getInt("code"));
            }
            if (reply.has("done")) {
                return reply.getObject("done");
            }
            items.accept(reply.getObject("item"));
        }
        throw new IOException("it ended without an answer");
    }

    static JsonObject parse(String line) throws IOException {
        try {
            return JsonParser.object().from(line);
        } catch (JsonParserException e) {
            throw new IOException("not a line of JSON: " + line, e);
        }
    }
}
