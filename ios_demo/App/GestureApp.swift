import SwiftUI

/// The parts and who knows whom: the camera gives frames to the pipeline, both tell the model, which the
/// screen shows.
@main struct GestureApp: App {
    @State private var model: LiveModel
    @Environment(\.scenePhase) private var phase
    private let preview: PreviewSource

    init() {
        let camera = CameraController()
        let pipeline = Pipeline(frames: camera.frames)
        preview = camera.preview
        _model = State(wrappedValue: LiveModel(pipeline: pipeline, camera: camera))
    }

    var body: some Scene {
        WindowGroup { LiveView(model: model, preview: preview, phase: phase) }
    }
}
