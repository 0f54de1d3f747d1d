package io.ucow.cli.daemon;

import com.grack.nanojson.JsonArray;
import com.grack.nanojson.JsonObject;
import io.ucow.fuse.Handover;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/**
 * What a keeper is given by a daemon, and gives to the daemon's successor, as JSON.
 *
 * @param spec what is served
 * @param handover the connection to the kernel, in descriptors of whoever gives this
 * @param workingDirectory where the first daemon was started: relative paths of a table start there
 */
record Keep(MountSpec spec, Handover handover, Path workingDirectory) {
    JsonObject toJson() {
        JsonArray descriptors = new JsonArray();
        descriptors.addAll(handover.descriptors());
        JsonObject json = new JsonObject();
        json.put("spec", spec.toJson());
        json.put("pid", handover.pid());
        json.put("descriptors", descriptors);
        json.put("maxPayloadBytes", handover.maxPayloadBytes());
        json.put("workingDirectory", workingDirectory.toString());
        return json;
    }

    /** @throws IOException if {@code json} is not what {@link #toJson} made */
    static Keep fromJson(JsonObject json) throws IOException {
        try {
            List<Integer> descriptors = new ArrayList<>();
            json.getArray("descriptors").forEach(fd -> descriptors.add(((Number) fd).intValue()));
            return new Keep(
                    MountSpec.fromJson(json.getString("spec")),
                    new Handover(json.getLong("pid"), descriptors, json.getInt("maxPayloadBytes")),
                    Path.of(json.getString("workingDirectory")));
        } catch (ClassCastException | NullPointerException | IllegalArgumentException e) {
            throw new IOException("not what a daemon hands over: " + json, e);
        }
    }

    /** The same in another process's descriptors. */
    Keep heldBy(Handover duplicates) {
        return new Keep(spec, duplicates, workingDirectory);
    }
}
