package io.ucow.cli;

import com.grack.nanojson.JsonObject;
import com.grack.nanojson.JsonWriter;
import java.io.PrintWriter;

/**
 * Prints ranges of a device as they are found. As text a line for each under a heading, nothing when there is none; as
 * JSON, never held as a whole:
 * <pre>
 *   [{"start":N, "length":N}, …]
 * </pre>
 */
final class RangeList {
    private final PrintWriter out;
    private final boolean json;
    private boolean any;

    RangeList(Output output) {
        this.out = output.writer();
        this.json = output.isJson();
    }

    /** Prints one range, in bytes. */
    void add(long offset, long lengthBytes) {
        if (json) {
            JsonObject range = JsonObject.builder()
                    .value("start", offset)
                    .value("length", lengthBytes)
                    .done();
            out.print((any ? ",\n" : "[\n") + JsonWriter.string(range));
        } else {
            if (!any) {
                out.println("Offset           Length");
            }
            out.println(String.format("%-16s %s", hex(offset), hex(lengthBytes)));
        }
        any = true;
    }

    private static String hex(long value) {
        return "0x" + Long.toHexString(value);
    }

    /** Ends the list. */
    void end() {
        if (json) {
            out.print((any ? "" : "[") + "\n]\n");
        }
        out.flush();
    }
}
