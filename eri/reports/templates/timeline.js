(() => {
  const { span, times, values } = JSON.parse(document.getElementById("timeline").textContent);
  const slider = document.getElementById("cursor");
  const clock = document.getElementById("clock");
  const video = document.getElementById("video");
  const tracks = document.getElementById("tracks");
  const readings = Array.from(tracks.querySelectorAll("output.now"));
  const faces = Array.from(document.querySelectorAll("[data-time]"));

  const format = (seconds) => {
    const tenths = Math.round(seconds * 10) / 10;
    const minutes = Math.floor(tenths / 60);
    return minutes + ":" + (tenths - 60 * minutes).toFixed(1).padStart(4, "0");
  };
  const nearest = (seconds) => {
    let low = 0;
    let high = times.length - 1;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (times[middle] > seconds) { high = middle; } else { low = middle; }
    }
    return Math.abs(times[high] - seconds) < Math.abs(times[low] - seconds) ? high : low;
  };
  const show = (seconds) => {
    const at = Math.min(Math.max(seconds, 0), span);
    tracks.style.setProperty("--at", 100 * at / span + "%");
    slider.value = at;
    slider.setAttribute("aria-valuetext", format(at));
    clock.textContent = format(at);
    if (!times.length) { return; }
    const row = values[nearest(at)];
    readings.forEach((reading, i) => { reading.textContent = row[i] === null ? "–" : row[i].toFixed(2); });
  };
  const seek = (seconds) => {
    if (video && video.readyState > 0) { video.currentTime = seconds; }
    show(seconds);
  };

  slider.addEventListener("input", () => seek(Number(slider.value)));
  for (const plot of tracks.querySelectorAll(".track:not(.axis) .plot")) {
    plot.addEventListener("click", (event) => {
      const box = plot.getBoundingClientRect();
      seek(span * (event.clientX - box.left) / box.width);
    });
  }
  for (const face of faces) { face.addEventListener("click", () => seek(Number(face.dataset.time))); }
  if (video) {
    const follow = () => {
      show(video.currentTime);
      if (!video.paused && !video.ended) { requestAnimationFrame(follow); }
    };
    video.addEventListener("play", follow);
    video.addEventListener("timeupdate", () => show(video.currentTime));
    video.addEventListener("seeked", () => show(video.currentTime));
    video.addEventListener("error", () => { document.getElementById("unplayable").hidden = false; });
  }
  show(0);
})();
