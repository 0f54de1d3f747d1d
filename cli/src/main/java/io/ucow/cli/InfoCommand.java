package io.ucow.cli;

import io.ucow.cli.text.ImageJson;
import io.ucow.cli.text.InfoText;
import io.ucow.store.ImageInfo;
import io.ucow.store.Images;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** {@code ucow info}: what an image is, and how much of it is altered. */
@Command(
        name = "info",
        description = "Tell what an image is: its base, its sizes, how much is altered. It may be in use.",
        mixinStandardHelpOptions = true)
final class InfoCommand implements Callable<Integer> {
    @Mixin
    private Output output;

    @Mixin
    private SnapshotOption snapshot;

    @Parameters(paramLabel = "IMAGE", description = "The image, or the file or loop device that it is served as.")
    private Path image;

    @Option(
            names = "--chain",
            description = "Tell of all images behind it, too, from the top down to the raw base; as JSON an array.")
    private boolean chain;

    @Override
    public Integer call() throws IOException {
        ImageInfo info = ImageView.of(image, snapshot.name()).info();
        if (chain) {
            List<ImageInfo> images = new ArrayList<>(List.of(info));
            images.addAll(Images.layersBelow(info));
            if (output.isJson()) {
                output.json(ImageJson.ofChain(images));
            } else {
                output.text(InfoText.ofChain(images));
            }
        } else if (output.isJson()) {
            output.json(ImageJson.of(info));
        } else {
            output.text(InfoText.of(info));
        }
        return ExitCodes.OK;
    }
}
