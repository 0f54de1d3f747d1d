package io.ucow.cli.daemon;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.grack.nanojson.JsonObject;
import com.grack.nanojson.JsonWriter;
import io.ucow.fuse.Handover;
import io.ucow.store.CacheMode;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.Test;

class KeepTest {
    /** Of process 7, with another value in every field. */
    static Keep sample(Handover handover) {
        MountSpec spec = new MountSpec(
                "id",
                Path.of("/mnt/a b"),
                true,
                "direct",
                CacheMode.NONE,
                true,
                true,
                Optional.empty(),
                List.of(Path.of("/vm1.cow"), Path.of("/v\u00e4m2.cow")),
                Optional.of("0 8 zero\n"),
                "<stdin>");
        return new Keep(spec, handover, Path.of("/home"));
    }

    private static final Keep SAMPLE = sample(new Handover(7, List.of(11, 12), 1 << 20));

    @Test
    void passesAsALineOfJson() throws IOException {
        String line = JsonWriter.string(SAMPLE.toJson());
        assertThat(line).doesNotContain("\n");
        assertThat(Keep.fromJson(Replies.parse(line))).isEqualTo(SAMPLE);
    }

    @Test
    void isTheSameInOtherHandsButForTheDescriptors() {
        Keep held = SAMPLE.heldBy(new Handover(8, List.of(3, 4), 1 << 20));
        assertThat(held.spec()).isEqualTo(SAMPLE.spec());
        assertThat(held.workingDirectory()).isEqualTo(SAMPLE.workingDirectory());
        assertThat(held.handover()).isEqualTo(new Handover(8, List.of(3, 4), 1 << 20));
    }

    @Test
    void anythingElseIsRefused() {
        for (String missing : List.of("spec", "descriptors", "maxPayloadBytes", "workingDirectory")) {
            JsonObject json = SAMPLE.toJson();
            json.remove(missing);
            assertThatThrownBy(() -> Keep.fromJson(json)).as(missing).isInstanceOf(IOException.class);
        }
        JsonObject words = SAMPLE.toJson();
        words.getArray("descriptors").add("three");
        assertThatThrownBy(() -> Keep.fromJson(words)).isInstanceOf(IOException.class);
    }
}
