import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Map;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import javax.xml.parsers.DocumentBuilderFactory;
import org.w3c.dom.Element;
import org.w3c.dom.Node;

/**
 * Names of the app's resources as Kotlin constants, for compiling it where the Android SDK is not:
 * `java GenerateR.java RES_FOLDER PACKAGE OUT.kt`. The numbers mean nothing; nothing runs with them.
 * check/link_resources.sh compares the names with those of the real tool.
 */
class GenerateR {
  private static final Pattern NEW_ID = Pattern.compile("@\\+id/(\\w+)");

  public static void main(String[] arguments) throws Exception {
    Map<String, TreeSet<String>> names = new TreeMap<>();
    for (File folder : sorted(new File(arguments[0]))) {
      String type = folder.getName().split("-")[0];
      for (File file : sorted(folder)) {
        if (type.equals("values")) {
          readValues(file, names);
        } else {
          add(names, type, file.getName().split("\\.")[0]);
          readIds(file, names);
        }
      }
    }
    write(arguments[1], names, Path.of(arguments[2]));
  }

  private static void readValues(File file, Map<String, TreeSet<String>> names) throws Exception {
    Node child =
        DocumentBuilderFactory.newInstance().newDocumentBuilder().parse(file).getDocumentElement().getFirstChild();
    for (; child != null; child = child.getNextSibling()) {
      if (child instanceof Element element) {
        add(names, element.getTagName(), element.getAttribute("name").replace('.', '_'));
      }
    }
  }

  private static void readIds(File file, Map<String, TreeSet<String>> names) throws IOException {
    Matcher found = NEW_ID.matcher(Files.readString(file.toPath()));
    while (found.find()) {
      add(names, "id", found.group(1));
    }
  }

  private static void add(Map<String, TreeSet<String>> names, String type, String name) {
    names.computeIfAbsent(type, t -> new TreeSet<>()).add(name);
  }

  private static void write(String name, Map<String, TreeSet<String>> names, Path out) throws IOException {
    StringBuilder text = new StringBuilder("package " + name + "\n\nobject R {\n");
    int value = 0;
    for (var type : names.entrySet()) {
      text.append("    object ").append(type.getKey()).append(" {\n");
      for (String constant : type.getValue()) {
        text.append("        const val ").append(constant).append(" = ").append(++value).append('\n');
      }
      text.append("    }\n");
    }
    Files.createDirectories(out.getParent());
    Files.writeString(out, text.append("}\n"));
  }

  private static File[] sorted(File folder) {
    File[] files = folder.listFiles();
    if (files == null) {
      throw new IllegalArgumentException("there is no folder " + folder);
    }
    Arrays.sort(files);
    return files;
  }
}
