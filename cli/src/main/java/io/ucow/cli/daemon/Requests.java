package io.ucow.cli.daemon;

import com.grack.nanojson.JsonObject;
import io.ucow.cli.text.ImageJson;
import io.ucow.cli.text.LineSink;
import io.ucow.cli.text.RecordJson;
import io.ucow.store.ImageDevice;
import io.ucow.store.ScrubListener;
import java.io.IOException;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.Consumer;

/**
 * What can be asked of a daemon, as the member {@code do} of a request.
 * <pre>
 *   status                    items: {@link FileJson} and {@link ServedDevice#stats} of each file
 *   info   image=canonical    done:  {@link ImageJson} of the image
 *   map    image=canonical    items: {@link ImageJson} of each extent, in order
 *   table  name=file's name   items: {"line":"…"} of the device-mapper table
 *   snapshot  image=canonical [as=path]  done: {"layer":"path"}, once requests are served by the new image
 *   grow   image=canonical size=bytes [from=bytes, the size that it must have]  done once requests are served by the device of that size
 *   commit image=canonical    items: {"bytes":N} further bytes of the device dealt with; done once it is served empty
 *   compact   image=canonical  items: {"movedBytes":N,"totalBytes":N} as it goes on; done: {@code CompactReport}
 *   scrub  image=canonical rate=bytes per second, 0 for no limit  items: {"checkedBytes":N,"totalBytes":N} as it goes on,
 *          {"start":N,"length":N} damaged; done: {@code ScrubReport}
 *   restart                   done once a successor is ready; this process ends then, and it serves
 *   stop                      done once everything is unmounted and closed; the process ends then
 * </pre>
 */
final class Requests implements ControlServer.Handler {
    static final String STATUS = "status",
            INFO = "info",
            MAP = "map",
            TABLE = "table",
            SNAPSHOT = "snapshot",
            GROW = "grow",
            COMMIT = "commit",
            COMPACT = "compact",
            SCRUB = "scrub",
            RESTART = "restart",
            STOP = "stop";
    static final String BYTES = "bytes", FROM = "from";

    /** Progress is told of in steps of so many bytes. */
    private static final long TOLD_BYTES = 8 << 20;

    private final Daemon daemon;

    Requests(Daemon daemon) {
        this.daemon = daemon;
    }

    /** A request, to which members may be added. */
    static JsonObject of(String verb) {
        JsonObject request = new JsonObject();
        request.put("do", verb);
        return request;
    }

    @Override
    public JsonObject answer(JsonObject request, Consumer<JsonObject> items) throws IOException {
        JsonObject result = new JsonObject();
        switch (request.getString("do", "")) {
            case STATUS -> daemon.forEachStatus(items);
            case INFO -> result = ImageJson.of(image(request).info());
            case MAP -> image(request).forEachExtent(extent -> items.accept(ImageJson.of(extent)));
            case TABLE -> device(request).printTable(new LineSink(line -> items.accept(lineItem(line))));
            case SNAPSHOT -> result.put("layer", snapshot(request).toString());
            case GROW -> grow(request);
            case COMMIT -> commit(imagePath(request), items);
            case COMPACT -> result = compact(request, items);
            case SCRUB -> result = scrub(request, items);
            case RESTART -> daemon.awaitSuccessor();
            case STOP -> daemon.stop();
            default -> throw new IOException("unknown request " + request);
        }
        return result;
    }

    private Path snapshot(JsonObject request) throws IOException {
        Path image = imagePath(request);
        return serving(image)
                .snapshot(image, Optional.ofNullable(request.getString("as")).map(Path::of));
    }

    private void grow(JsonObject request) throws IOException {
        Path image = imagePath(request);
        OptionalLong from = request.has(FROM) ? OptionalLong.of(request.getLong(FROM)) : OptionalLong.empty();
        serving(image).grow(image, from, request.getLong("size"));
    }

    private void commit(Path image, Consumer<JsonObject> items) throws IOException {
        AtomicLong untold = new AtomicLong();
        serving(image).commit(image, bytes -> {
            if (untold.addAndGet(bytes) >= TOLD_BYTES) {
                items.accept(bytesItem(untold.getAndSet(0)));
            }
        });
        items.accept(bytesItem(untold.get()));
    }

    private static JsonObject bytesItem(long bytes) {
        JsonObject item = new JsonObject();
        item.put(BYTES, bytes);
        return item;
    }

    private JsonObject compact(JsonObject request, Consumer<JsonObject> items) throws IOException {
        Path image = imagePath(request);
        return RecordJson.of(serving(image).compact(image, (moved, total) -> items.accept(progressItem(moved, total))));
    }

    private static JsonObject progressItem(long movedBytes, long totalBytes) {
        JsonObject item = new JsonObject();
        item.put("movedBytes", movedBytes);
        item.put("totalBytes", totalBytes);
        return item;
    }

    private JsonObject scrub(JsonObject request, Consumer<JsonObject> items) throws IOException {
        Path image = imagePath(request);
        return RecordJson.of(serving(image).scrub(image, request.getLong("rate"), new ScrubListener() {
            @Override
            public void progress(long checkedBytes, long totalBytes) {
                JsonObject item = new JsonObject();
                item.put("checkedBytes", checkedBytes);
                item.put("totalBytes", totalBytes);
                items.accept(item);
            }

            @Override
            public void damaged(long guestOffset, long lengthBytes) {
                JsonObject item = new JsonObject();
                item.put("start", guestOffset);
                item.put("length", lengthBytes);
                items.accept(item);
            }
        }));
    }

    private ImageDevice image(JsonObject request) throws IOException {
        Path image = imagePath(request);
        return serving(image).image(image).orElseThrow();
    }

    private ServedDevice serving(Path image) throws IOException {
        return daemon.devices().stream()
                .filter(d -> d.image(image).isPresent())
                .findFirst()
                .orElseThrow(() -> new NoSuchFileException(image.toString(), null, "not served here"));
    }

    private static Path imagePath(JsonObject request) {
        return Path.of(request.getString("image", ""));
    }

    private ServedDevice device(JsonObject request) throws IOException {
        String name = request.getString("name", "");
        return daemon.devices().stream()
                .filter(d -> d.file().name().equals(name))
                .findFirst()
                .orElseThrow(() -> new NoSuchFileException(name, null, "not served here"));
    }

    private static JsonObject lineItem(String line) {
        JsonObject item = new JsonObject();
        item.put("line", line);
        return item;
    }
}
