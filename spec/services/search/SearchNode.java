import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.opensearch.common.settings.Settings;
import org.opensearch.http.HttpServerTransport;
import org.opensearch.index.reindex.ReindexPlugin;
import org.opensearch.node.InternalSettingsPreparer;
import org.opensearch.node.Node;
import org.opensearch.plugins.Plugin;
import org.opensearch.transport.Netty4Plugin;

/**
 * A real search node on 127.0.0.1, on any free port, which lives as long as its standard input does. This is the one for OpenSearch;
 * search_node.mjs makes the one for Elasticsearch by writing the other name into the imports.
 */
public final class SearchNode {
    private static final class Bare extends Node {
        Bare(Settings settings, List<Class<? extends Plugin>> plugins) {
            super(InternalSettingsPreparer.prepareEnvironment(settings, Map.of(), null, () -> "spec"), plugins, true);
        }
    }

    public static void main(String[] args) throws Exception {
        Path home = Files.createTempDirectory("fitnessally-search-");
        Runtime.getRuntime().addShutdownHook(new Thread(() -> remove(home)));
        Files.createDirectories(home.resolve("config"));
        Settings settings = Settings.builder()
                .put("path.home", home)
                .put("cluster.name", "spec")
                .put("node.name", "spec")
                .put("network.host", "127.0.0.1")
                .put("http.port", "0")
                .put("transport.port", "0")
                .put("transport.type", "netty4")
                .put("http.type", "netty4")
                .put("discovery.type", "single-node")
                .put("node.processors", 1)
                .put("cluster.routing.allocation.disk.threshold_enabled", false)
                .build();
        try (Node node = new Bare(settings, List.of(Netty4Plugin.class, ReindexPlugin.class))) {
            node.start();
            var bound = node.injector().getInstance(HttpServerTransport.class).boundAddress().publishAddress();
            System.out.println("listening on http://127.0.0.1:" + bound.address().getPort());
            System.out.flush();
            while (System.in.read() >= 0) {
                // only its end matters
            }
        }
        System.exit(0);
    }

    private static void remove(Path folder) {
        try (Stream<Path> all = Files.walk(folder)) {
            all.sorted(Comparator.reverseOrder()).forEach(path -> path.toFile().delete());
        } catch (IOException gone) {
            // somebody else was faster
        }
    }
}
