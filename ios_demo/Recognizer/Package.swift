// swift-tools-version: 6.0
import PackageDescription

let package = Package(
    name: "Recognizer",
    platforms: [.iOS(.v17), .macOS(.v14)],
    products: [.library(name: "Recognizer", targets: ["Recognizer"])],
    targets: [
        .target(name: "Recognizer"),
        // For the checks on a computer; the app does not link it.
        .executableTarget(name: "Replay", dependencies: ["Recognizer"]),
        .testTarget(name: "RecognizerTests", dependencies: ["Recognizer"]),
    ],
    swiftLanguageModes: [.v6]
)
